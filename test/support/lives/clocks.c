/*
 * Timers of all kinds that ring for good, and others that are far off. Each SIGUSR1 starts a round in which every one of the former
 * has to ring anew, in the right thread and with its value, and the latter have to be where they were: `N right`, or what is not.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif
static char wrong[1000];
static void check(int holds, const char *what) { if (!holds && strlen(wrong) < 900) { strcat(wrong, " "); strcat(wrong, what); } }
static volatile int rung[64], where[64], value[64], threads, worker_tid, once;
static void ring(int signal, siginfo_t *info, void *context) { rung[signal - 1]++; where[signal - 1] = syscall(SYS_gettid); value[signal - 1] = info->si_value.sival_int; }
static void in_thread(union sigval v) { if (v.sival_int == 4242) threads++; }
static void *worker(void *arg) { worker_tid = syscall(SYS_gettid); for (;;) pause(); }
static struct itimerspec every(long ms) { return (struct itimerspec){{ms / 1000, ms % 1000 * 1000000}, {ms / 1000, ms % 1000 * 1000000}}; }
static timer_t timer(clockid_t clock, int notify, int signal, int number, struct itimerspec when) {
	timer_t id; struct sigevent event = {.sigev_notify = notify, .sigev_signo = signal, .sigev_value.sival_int = number};
	if (notify == SIGEV_THREAD_ID) event.sigev_notify_thread_id = worker_tid;
	if (notify == SIGEV_THREAD) event.sigev_notify_function = in_thread;
	if (timer_create(clock, &event, &id) || timer_settime(id, 0, &when, 0)) perror("timer"), exit(1);
	return id;
}
int main(void) {
	sigset_t usr1; sigemptyset(&usr1); sigaddset(&usr1, SIGUSR1); sigprocmask(SIG_BLOCK, &usr1, 0);
	int ringing[] = {SIGALRM, SIGVTALRM, SIGPROF, SIGRTMIN + 1, SIGRTMIN + 2, SIGRTMIN + 3, SIGRTMIN + 4};
	for (int i = 0; i < 7; i++) sigaction(ringing[i], &(struct sigaction){.sa_sigaction = ring, .sa_flags = SA_SIGINFO | SA_RESTART}, 0);
	pthread_t t; pthread_create(&t, 0, worker, 0); while (!worker_tid) usleep(1000);
	timer_t gone = timer(CLOCK_MONOTONIC, SIGEV_NONE, 0, 0, every(5));
	struct itimerval soon = {{0, 20000}, {0, 20000}}, little = {{0, 5000}, {0, 5000}};
	setitimer(ITIMER_REAL, &soon, 0); setitimer(ITIMER_VIRTUAL, &little, 0); setitimer(ITIMER_PROF, &little, 0);
	timer(CLOCK_REALTIME, SIGEV_SIGNAL, SIGRTMIN + 1, 101, every(20)); timer(CLOCK_BOOTTIME, SIGEV_THREAD_ID, SIGRTMIN + 2, 102, every(20));
	/* of processor time, once: it cannot run out while nobody works */
	timer_t work = timer(CLOCK_PROCESS_CPUTIME_ID, SIGEV_SIGNAL, SIGRTMIN + 3, 103, (struct itimerspec){{0}, {0, 60000000}});
	timer(CLOCK_MONOTONIC, SIGEV_THREAD, 0, 4242, every(20));
	timer_t far = timer(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGRTMIN + 4, 104, (struct itimerspec){{7, 5}, {5000, 0}}), mute = timer(CLOCK_MONOTONIC, SIGEV_NONE, 0, 0, (struct itimerspec){{9, 0}, {6000, 0}});
	/* of a thread's time, which sleeps and has none */
	clockid_t its; pthread_getcpuclockid(t, &its); timer_t sleeping = timer(its, SIGEV_SIGNAL, SIGRTMIN + 4, 106, (struct itimerspec){{3, 0}, {40, 0}});
	timer_t idle = timer(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGRTMIN + 4, 105, (struct itimerspec){{0}, {0}});
	/* numbers of timers need not follow one another */
	timer_delete(gone);
	puts("ready"); fflush(stdout);
	int number; for (int n = 0; !sigwait(&usr1, &number); n++) {
		wrong[0] = 0; if (n == 0) check(rung[SIGRTMIN + 2] == 0, "the timer of work rang too soon");
		for (int i = 0; i < 7; i++) if (ringing[i] != SIGRTMIN + 3) rung[ringing[i] - 1] = 0; threads = 0;
		struct timespec began, now; clock_gettime(CLOCK_MONOTONIC, &began);
		do clock_gettime(CLOCK_MONOTONIC, &now);
		while (now.tv_sec - began.tv_sec < 8 && !(rung[SIGALRM - 1] > 1 && rung[SIGVTALRM - 1] > 1 && rung[SIGPROF - 1] > 1 && rung[SIGRTMIN] > 1 && rung[SIGRTMIN + 1] > 1 && rung[SIGRTMIN + 2] && threads > 1));
		check(rung[SIGALRM - 1] > 1, "real"); check(rung[SIGVTALRM - 1] > 1, "virtual"); check(rung[SIGPROF - 1] > 1, "profiling");
		check(rung[SIGRTMIN] > 1 && value[SIGRTMIN] == 101, "signal"); check(rung[SIGRTMIN + 1] > 1 && value[SIGRTMIN + 1] == 102 && where[SIGRTMIN + 1] == worker_tid, "thread's signal");
		check(rung[SIGRTMIN + 2] == 1 && value[SIGRTMIN + 2] == 103, "work"); check(threads > 1, "threads"); check(rung[SIGRTMIN + 3] == 0, "the far and the idle one");
		struct itimerspec left; timer_gettime(far, &left); check(left.it_interval.tv_sec == 7 && left.it_interval.tv_nsec == 5 && left.it_value.tv_sec > 4000 && left.it_value.tv_sec < 5000, "far");
		timer_gettime(mute, &left); check(left.it_interval.tv_sec == 9 && left.it_value.tv_sec > 5000 && left.it_value.tv_sec < 6000, "mute"); timer_gettime(idle, &left); check(!left.it_value.tv_sec && !left.it_value.tv_nsec, "idle"); timer_gettime(sleeping, &left); check(left.it_interval.tv_sec == 3 && left.it_value.tv_sec >= 30 && left.it_value.tv_sec <= 40, "sleeping");
		timer_gettime(work, &left); check(!left.it_value.tv_nsec && !left.it_value.tv_sec, "work is over");
		timer_t another = timer(CLOCK_MONOTONIC, SIGEV_NONE, 0, 0, every(1000)); timer_delete(another);
		printf("%d%s\n", n, wrong[0] ? wrong : " right"); fflush(stdout);
	}
}
