/*
 * A machine for system calls. It runs lists of steps, and decides nothing: what is called with what, what must come back
 * and what follows is all in the list. Freestanding, position independent, no data, no relocation.
 */
#include "blob.h"

#define HIDDEN __attribute__((visibility("hidden")))

HIDDEN long call(long number, const u64 *arg);
HIDDEN long spawn(u64 args, u64 size, u64 context, u64 steps);
HIDDEN void leave(u64 stack) __attribute__((noreturn));

enum { SYS_read = 0, SYS_write = 1, SYS_exit = 60, SYS_futex = 202, SYS_exit_group = 231 };
enum { EINTR = 4, FUTEX_WAIT = 0 };

static long syscall3(long number, u64 a, u64 b, u64 c)
{
	u64 arg[6] = { a, b, c, 0, 0, 0 };

	return call(number, arg);
}

static int failed(long result)
{
	return (u64)result > -4096UL;
}

static int satisfied(const struct step *step, long result)
{
	switch (step->expect) {
	case EXPECT_SUCCESS:
		return !failed(result);
	case EXPECT_EXACTLY:
		return (u64)result == step->want;
	case EXPECT_SUCCESS_OR:
		return !failed(result) || (u64)result == step->want;
	}
	return 1;
}

static long await(volatile u32 *word, u32 value)
{
	u32 now;

	while ((now = *word) != value) {
		u64 arg[6] = { (u64)word, FUTEX_WAIT, now, 0, 0, 0 };

		call(SYS_futex, arg);
	}
	return 0;
}

static long cpuid(u64 leaf, u64 subleaf, u32 *out)
{
	__asm__ volatile("cpuid"
			 : "=a"(out[0]), "=b"(out[1]), "=c"(out[2]), "=d"(out[3])
			 : "a"((u32)leaf), "c"((u32)subleaf));
	return 0;
}

static long perform(const struct step *step, const u64 *arg)
{
	switch (step->call) {
	case DO_SPAWN:
		return spawn(arg[0], arg[1], arg[2], arg[3]);
	case DO_AWAIT:
		return await((volatile u32 *)arg[0], arg[1]);
	case DO_LEAVE:
		leave(arg[0]);
	case DO_CPUID:
		return cpuid(arg[0], arg[1], (u32 *)arg[2]);
	}
	return call(step->call, arg);
}

/* Runs to the end of the list, or to the first step that is not satisfied, which it returns. */
static const struct step *run(const struct step *step, long *result)
{
	for (; step->call != DO_END; step++) {
		u64 arg[6];

		for (int i = 0; i < 6; i++)
			arg[i] = step->indirect >> i & 1 ? *(u64 *)step->arg[i] : step->arg[i];
		do
			*result = perform(step, arg);
		while (step->expect == EXPECT_REPEAT && !failed(*result));
		if (!satisfied(step, *result))
			return step;
		if (step->store)
			*(u64 *)step->store = *result;
	}
	return 0;
}

static void tell(u64 fd, u64 task, const struct step *step, long result)
{
	struct report report = { task, step->id, result };

	syscall3(SYS_write, fd, (u64)&report, sizeof report);
}

/* A spawned task or thread: runs its list, and tells when it cannot go on. */
HIDDEN void child(const struct context *context, const struct step *steps)
{
	long result;
	const struct step *stopped = run(steps, &result);

	if (stopped)
		tell(context->report_fd, context->task, stopped, result);
	for (;;)
		syscall3(stopped ? SYS_exit_group : SYS_exit, stopped ? FAILED : 0, 0, 0);
}

/* Reads or writes exactly so many bytes of the driver's socket. When the driver is gone, so are we. */
static void transfer(long number, u64 at, u64 bytes)
{
	while (bytes) {
		long count = syscall3(number, AGENT_FD, at, bytes);

		if (count == -EINTR)
			continue;
		if (count <= 0)
			syscall3(SYS_exit_group, FAILED, 0, 0);
		at += count;
		bytes -= count;
	}
}

/* The agent: asked over a socket, for ever. Every answer starts with a report: which step stopped the list, or id 0. */
HIDDEN void serve(void)
{
	for (;;) {
		struct request request;
		struct report report = { 0, 0, 0 };
		const struct step *stopped;
		long result = 0;

		transfer(SYS_read, (u64)&request, sizeof request);
		transfer(SYS_read, request.load_at, request.load_bytes);
		stopped = run((const struct step *)request.steps, &result);
		report.result = result;
		if (stopped)
			report.id = stopped->id;
		transfer(SYS_write, (u64)&report, sizeof report);
		transfer(SYS_write, request.reply_at, request.reply_bytes);
	}
}
