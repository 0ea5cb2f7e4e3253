/*
 * A machine for system calls. It runs lists of steps, and decides nothing: calls, arguments, expected results and branches
 * are all in the list. Freestanding, position independent, no data, no relocation.
 */
#include "blob.h"

#define HIDDEN __attribute__((visibility("hidden")))

HIDDEN long call(long number, const u64 *arg);
HIDDEN long spawn(u64 args, u64 size, u64 context, u64 steps);
HIDDEN long spawn_by_clone(u64 args, u64 size, u64 context, u64 steps);
HIDDEN void leave(u64 stack) __attribute__((noreturn));

enum { SYS_write = 1, SYS_sendto = 44, SYS_recvfrom = 45, SYS_exit = 60, SYS_futex = 202, SYS_exit_group = 231 };
enum { FUTEX_WAIT = 0, MSG_NOSIGNAL = 0x4000 };

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
	case DO_CLONE:
		return spawn_by_clone(arg[0], arg[1], arg[2], arg[3]);
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
		if (step->call == DO_BRANCH) {
			if ((arg[0] & arg[1]) == arg[2])
				step = (const struct step *)arg[3] - 1;
			continue;
		}
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

/* A spawned process or thread: runs its list, and reports the step that failed. */
HIDDEN void child(const struct context *context, const struct step *steps)
{
	long result;
	const struct step *stopped = run(steps, &result);

	if (stopped)
		tell(context->report_fd, context->task, stopped, result);
	for (;;)
		syscall3(stopped ? SYS_exit_group : SYS_exit, stopped ? FAILED : 0, 0, 0);
}

/* Reads or writes exactly so many bytes of the driver's socket; 0 when the driver has closed it. No handlers: no EINTR. */
static int transfer(long number, u64 at, u64 bytes)
{
	while (bytes) {
		u64 arg[6] = { AGENT_FD, at, bytes, MSG_NOSIGNAL, 0, 0 };
		long count = call(number, arg);

		if (count <= 0)
			return 0;
		at += count;
		bytes -= count;
	}
	return 1;
}

/*
 * The agent: serves requests over a socket until that is closed. Every answer starts with a report: which step stopped the
 * list, or id 0. A list that was begun is run to its end also when the driver is gone; then the undo list of the last complete
 * request is run.
 */
HIDDEN void serve(void)
{
	const struct step *undo = 0;
	long result = 0;

	for (;;) {
		struct request request;
		struct report report = { 0, 0, 0 };
		const struct step *stopped;

		if (!transfer(SYS_recvfrom, (u64)&request, sizeof request) ||
		    !transfer(SYS_recvfrom, request.load_at, request.load_bytes))
			break;
		undo = (const struct step *)request.undo;
		stopped = run((const struct step *)request.steps, &result);
		report.result = result;
		if (stopped)
			report.id = stopped->id;
		if (!transfer(SYS_sendto, (u64)&report, sizeof report) ||
		    !transfer(SYS_sendto, request.reply_at, request.reply_bytes))
			break;
	}
	if (undo)
		run(undo, &result);
	syscall3(SYS_exit_group, FAILED, 0, 0);
}
