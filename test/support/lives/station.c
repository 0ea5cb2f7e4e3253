/* A user of no rights, far from where it began: in directory argv[1], with limits, groups, niceness and a name of its own. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <grp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
static void *batch(void *a) { struct sched_param p = {0}; sched_setscheduler(0, SCHED_BATCH, &p); setpriority(PRIO_PROCESS, syscall(SYS_gettid), 11); pthread_setname_np(pthread_self(), "on the side"); for (;;) pause(); }
int main(int argc, char **argv) {
	sigset_t usr1; sigemptyset(&usr1); sigaddset(&usr1, SIGUSR1); sigprocmask(SIG_BLOCK, &usr1, 0);
	pthread_t t; pthread_create(&t, 0, batch, 0);
	chdir(argv[1]); umask(0137); nice(7);
	struct { int which; rlim_t now, most; } limits[] = {{RLIMIT_NOFILE, 111, 222}, {RLIMIT_CORE, 4096, RLIM_INFINITY}, {RLIMIT_STACK, 3 << 20, 5 << 20}, {RLIMIT_CPU, 3333, 4444}, {RLIMIT_FSIZE, 1 << 30, 1ul << 40}, {RLIMIT_MEMLOCK, 1 << 20, 1 << 21}, {RLIMIT_SIGPENDING, 77, 88}, {RLIMIT_MSGQUEUE, 1234, 5678}, {RLIMIT_NICE, 3, 4}, {RLIMIT_RTPRIO, 1, 2}, {RLIMIT_AS, 1ul << 36, 1ul << 37}};
	for (unsigned i = 0; i < sizeof limits / sizeof *limits; i++) setrlimit(limits[i].which, &(struct rlimit){limits[i].now, limits[i].most});
	mlock(malloc(8192), 8192);
	gid_t groups[] = {5, 12345, 100000}; setgroups(3, groups); setresgid(1001, 1002, 1003); setresuid(2001, 2002, 2003);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); prctl(PR_SET_NAME, "far (away) S 1", 0, 0, 0); prctl(PR_SET_DUMPABLE, 1, 0, 0, 0); prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); prctl(PR_SET_TIMERSLACK, 123456, 0, 0, 0); prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
	signal(SIGPIPE, SIG_IGN); signal(SIGCHLD, SIG_IGN);
	puts("ready"); fflush(stdout);
	for (int number, n = 0; !sigwait(&usr1, &number); n++) {
		uid_t u[3]; gid_t g[3], list[9]; char here[300]; struct rlimit files; mode_t mask = umask(0); umask(mask); getresuid(u, u + 1, u + 2); getresgid(g, g + 1, g + 2); int count = getgroups(9, list); getrlimit(RLIMIT_NOFILE, &files);
		printf("%s %o %d %lu %d %d %d %d %d %d %d %d\n", getcwd(here, 300), mask, getpriority(PRIO_PROCESS, 0), (long)files.rlim_cur, u[0], u[1], u[2], g[0], g[1], g[2], count, prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0)); fflush(stdout);
	}
}
