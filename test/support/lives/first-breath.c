/* A program that begins its life in a restore, and tells what it finds. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static void say(const char *what, int right)
{
	dprintf(1, "%s %s\n", what, right ? "right" : "wrong");
}

static int close_to(long a, long b)
{
	return a - b <= 1 && b - a <= 1;
}

typedef int clock_function(clockid_t, struct timespec *);
typedef int day_function(struct timeval *, void *);
typedef time_t time_function(time_t *);
typedef long cpu_function(unsigned *, unsigned *, void *);

/* By the C library, and by the addresses of the vdso's functions. */
static void tell_time(char **at)
{
	struct timespec asked, told = { 0, 0 };
	struct timeval day = { 0, 0 };
	unsigned cpu = ~0u, node;
	long processors = sysconf(_SC_NPROCESSORS_CONF);

	syscall(SYS_clock_gettime, CLOCK_REALTIME, &asked);
	say("clock_gettime", clock_gettime(CLOCK_REALTIME, &told) == 0 && close_to(told.tv_sec, asked.tv_sec));
	syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &asked);
	say("monotonic", clock_gettime(CLOCK_MONOTONIC, &told) == 0 && close_to(told.tv_sec, asked.tv_sec));
	syscall(SYS_clock_gettime, CLOCK_REALTIME, &asked);
	say("gettimeofday", gettimeofday(&day, 0) == 0 && close_to(day.tv_sec, asked.tv_sec));
	say("time", close_to(time(0), asked.tv_sec));
	say("getcpu", getcpu(&cpu, &node) == 0 && cpu < processors);
	say("clock_getres", clock_getres(CLOCK_MONOTONIC, &told) == 0 && told.tv_sec == 0 && told.tv_nsec > 0);

	clock_function *clock = (clock_function *)strtoul(at[0], 0, 16);
	day_function *timeofday = (day_function *)strtoul(at[1], 0, 16);
	time_function *now = (time_function *)strtoul(at[2], 0, 16);
	cpu_function *where = (cpu_function *)strtoul(at[3], 0, 16);
	say("direct clock_gettime", clock(CLOCK_REALTIME, &told) == 0 && close_to(told.tv_sec, asked.tv_sec));
	say("direct gettimeofday", timeofday(&day, 0) == 0 && close_to(day.tv_sec, asked.tv_sec));
	say("direct time", close_to(now(0), asked.tv_sec));
	cpu = ~0u;
	say("direct getcpu", where(&cpu, &node, 0) == 0 && cpu < processors);
}

static void tell_file(int fd)
{
	struct stat st;
	char bytes[24] = { 0 };
	long got = pread(fd, bytes, sizeof bytes - 1, 0);

	fstat(fd, &st);
	dprintf(1, "%d: %s (%ld) at %ld of %ld, flags %o, mode %o, owner %d %d, links %d, seals %d%s\n", fd,
		got < 0 ? strerror(errno) : bytes, got, (long)lseek(fd, 0, SEEK_CUR), (long)st.st_size, fcntl(fd, F_GETFL),
		st.st_mode, st.st_uid, st.st_gid, (int)st.st_nlink, fcntl(fd, F_GET_SEALS),
		fcntl(fd, F_GETFD) ? ", closing" : "");
}

static int same(int a, int b)
{
	struct stat x, y;

	return fstat(a, &x) == 0 && fstat(b, &y) == 0 && x.st_ino == y.st_ino && x.st_dev == y.st_dev;
}

/* Each argument names a question, and what it is about. */
static void tell_files(int count, char **what)
{
	for (int i = 0; i < count; i++) {
		unsigned long at;
		int a, b;

		if (sscanf(what[i], "fd:%d", &a) == 1) tell_file(a);
		if (sscanf(what[i], "same:%d:%d", &a, &b) == 2) dprintf(1, "%s ", what[i]), say("is", same(a, b));
		if (sscanf(what[i], "shown:%lx:%d", &at, &a) == 2) {
			char before, after;

			pread(a, &before, 1, 0);
			(*(char *)at)++;
			pread(a, &after, 1, 0);
			dprintf(1, "%s ", what[i]), say("is", after == before + 1);
		}
		if (sscanf(what[i], "private:%lx:%d", &at, &a) == 2) {
			char before, after;

			pread(a, &before, 1, 0);
			(*(char *)at)++;
			pread(a, &after, 1, 0);
			dprintf(1, "%s ", what[i]), say("is", after == before);
		}
		if (sscanf(what[i], "sealed:%lx:%d", &at, &a) == 2) {
			dprintf(1, "%s ", what[i]);
			say("is", write(a, "x", 1) < 0 && errno == EPERM && mprotect((void *)at, 4096, PROT_READ | PROT_WRITE) < 0);
		}
		if (sscanf(what[i], "prctl:%d", &a) == 1) {
			int value = 0;

			if (a == PR_GET_CHILD_SUBREAPER) prctl(a, &value, 0, 0, 0);
			else value = prctl(a, 0, 0, 0, 0);
			dprintf(1, "prctl %d is %d\n", a, value);
		}
		if (strcmp(what[i], "oom") == 0) {
			char bytes[16] = { 0 };
			int fd = open("/proc/self/oom_score_adj", O_RDONLY);

			read(fd, bytes, 15);
			dprintf(1, "oom_score_adj is %s", bytes);
		}
		if (strcmp(what[i], "exe") == 0) {
			char bytes[256] = { 0 };

			readlink("/proc/self/exe", bytes, 255);
			dprintf(1, "exe is %s\n", strstr(bytes, " (deleted)") ? "deleted" : "there");
		}
		if (sscanf(what[i], "shared:%d:%d", &a, &b) == 2) {
			int flags = fcntl(a, F_GETFL);

			fcntl(a, F_SETFL, flags ^ O_NONBLOCK);
			dprintf(1, "%s ", what[i]), say("is", fcntl(b, F_GETFL) == (flags ^ O_NONBLOCK));
			fcntl(a, F_SETFL, flags);
		}
		/* Nobody else has an end of this pipe: it ends with the writer, and is broken without its reader. */
		if (sscanf(what[i], "pipe:%d:%d", &a, &b) == 2) {
			char byte;

			fcntl(a, F_SETFL, O_NONBLOCK);
			dprintf(1, "%s ", what[i]), say("is", read(a, &byte, 1) < 0 && errno == EAGAIN);
			close(b);
			dprintf(1, "its end "), say("is", read(a, &byte, 1) == 0);
		}
		if (sscanf(what[i], "broken:%d:%d", &a, &b) == 2) {
			signal(SIGPIPE, SIG_IGN);
			close(a);
			dprintf(1, "%s ", what[i]), say("is", write(b, "x", 1) < 0 && errno == EPIPE);
		}
		if (sscanf(what[i], "tty:%d", &a) == 1) dprintf(1, "%d is %s\n", a, isatty(a) ? ttyname(a) : "no terminal");
	}
}

int main(int count, char **what)
{
	if (count > 5 && strcmp(what[1], "time") == 0) tell_time(what + 2);
	else tell_files(count - 1, what + 1);
	return 23;
}
