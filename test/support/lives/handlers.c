/*
 * Three threads that a signal has torn from what they did, inside of handlers on alternate stacks: the first (two handlers deep) from
 * read(2), the second from a loop over its registers, the third with a stack that is disarmed meanwhile (SS_AUTODISARM). Signals of many
 * kinds wait, blocked. SIGUSR1 lets the handlers return and the signals come: `N right`, or what is not.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#ifndef SS_AUTODISARM
#define SS_AUTODISARM (1U << 31)
#endif
static char wrong[1000];
static void check(int holds, const char *what) { if (!holds && strlen(wrong) < 900) { strcat(wrong, " "); strcat(wrong, what); } }
static volatile int inside, deeper, returned, leave, stop, on_stack[3], ends[2], got[32], values[32], codes[32], received;
static volatile uint64_t turns; static char stacks[3][65536]; static __thread int mine; static volatile int readied;
static int within(int i) { char here; return &here >= stacks[i] && &here < stacks[i] + sizeof stacks[i]; }
static void wait_inside(int i) {
	/* the vectors of the handler are not those of what it interrupted */
	volatile double x = 1.5; for (int n = 0; n < 10; n++) x *= 1.25;
	__sync_fetch_and_add(&inside, 1);
	while (!leave) { struct timespec ts = {0, 1000000}; nanosleep(&ts, 0); x += 1; }
	on_stack[i] = within(i);
}
static void second(int s) { deeper = 1; wait_inside(0); __sync_fetch_and_add(&returned, 1); }
static void first(int s) {
	if (mine == 0) { raise(SIGHUP); check(within(0), "first stack"); }
	else { wait_inside(mine); stack_t now; sigaltstack(0, &now); check(mine == 1 ? now.ss_flags == SS_ONSTACK : now.ss_flags == SS_DISABLE, "sigaltstack inside"); }
	__sync_fetch_and_add(&returned, 1);
}
static void collect(int s, siginfo_t *info, void *c) { if (received < 32) { got[received] = s; values[received] = info->si_value.sival_int; codes[received++] = info->si_code; } }
static void prepare(int i) { mine = i; stack_t st = {.ss_sp = stacks[i], .ss_size = sizeof stacks[i], .ss_flags = i == 2 ? SS_AUTODISARM : 0}; if (sigaltstack(&st, 0)) perror("sigaltstack"), exit(1); }
static void *reads(void *a) { char text[8]; prepare(0); readied++; long n = read(ends[0], text, 8); check(n == 4 && !memcmp(text, "word", 4), "read"); return 0; }
static void *spins(void *a) {
	prepare(1); readied++; int lost;
	__asm__ volatile("fldpi\n movq %2, %%xmm3\n movq %3, %%xmm14\n mov %2, %%r14\n"
		"1: incq %1\n movq %%xmm3, %%rax\n cmp %2, %%rax\n jne 2f\n movq %%xmm14, %%rax\n cmp %3, %%rax\n jne 2f\n cmp %2, %%r14\n jne 2f\n fldpi\n fcomip %%st(1), %%st\n jne 2f\n"
		"xor %%eax, %%eax\n cmpl $0, %4\n je 1b\n jmp 3f\n 2: mov $1, %%eax\n 3: fstp %%st(0)\n" : "=&a"(lost), "+m"(turns) : "r"(0x1234567890abcdefu), "r"(0xfedcba0987654321u), "m"(stop) : "xmm3", "xmm14", "r14", "cc");
	check(!lost, "registers of the loop");
	return 0;
}
static void *sleeps(void *a) { prepare(2); readied++; while (!stop) usleep(1000); stack_t now; sigaltstack(0, &now); check(now.ss_sp == stacks[2] && (unsigned)now.ss_flags == SS_AUTODISARM, "stack armed again"); return 0; }
int main(void) {
	sigset_t usr1, held; sigemptyset(&usr1); sigaddset(&usr1, SIGUSR1); held = usr1; sigaddset(&held, SIGUSR2); sigaddset(&held, SIGCHLD); for (int i = 0; i < 3; i++) sigaddset(&held, SIGRTMIN + i);
	pipe((int *)ends); pthread_t t[3]; sigprocmask(SIG_BLOCK, &held, 0);
	for (int i = 0; i < 3; i++) { pthread_create(t + i, 0, ((void *(*[])(void *)){reads, spins, sleeps})[i], 0); while (readied == i) usleep(1000); }
	sigaction(SIGTERM, &(struct sigaction){.sa_handler = first, .sa_flags = SA_ONSTACK | SA_RESTART}, 0); sigaction(SIGHUP, &(struct sigaction){.sa_handler = second, .sa_flags = SA_ONSTACK | SA_NODEFER}, 0);
	struct sigaction keeps = {.sa_sigaction = collect, .sa_flags = SA_SIGINFO}; sigfillset(&keeps.sa_mask); sigaction(SIGUSR2, &keeps, 0); sigaction(SIGCHLD, &keeps, 0); for (int i = 0; i < 3; i++) sigaction(SIGRTMIN + i, &keeps, 0);
	usleep(20000); for (int i = 0; i < 3; i++) pthread_kill(t[i], SIGTERM); while (inside < 3) usleep(1000);
	kill(getpid(), SIGUSR2); kill(getpid(), SIGUSR2); pthread_kill(pthread_self(), SIGCHLD);
	for (int i = 1; i <= 4; i++) sigqueue(getpid(), SIGRTMIN + 1, (union sigval){.sival_int = i * 7}); sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = -1}); pthread_sigqueue(pthread_self(), SIGRTMIN + 2, (union sigval){.sival_int = 99});
	puts("ready"); fflush(stdout);
	int number; while (sigwait(&usr1, &number));
	check(deeper == 1 && returned == 0 && received == 0, "before"); uint64_t then = turns; usleep(2000); check(turns == then, "the loop stands");
	leave = 1; while (returned < 4) usleep(1000); for (int i = 0; i < 3; i++) check(on_stack[i], "stack");
	for (then = turns; turns == then;) usleep(1000);
	write(ends[1], "word", 4); stop = 1; for (int i = 0; i < 3; i++) pthread_join(t[i], 0);
	sigprocmask(SIG_UNBLOCK, &held, 0);
	check(received == 8, "number of signals");
	/* the handler blocks all: so each has its turn, the thread's own before the process's, the lowest first */
	int order[] = {SIGCHLD, SIGRTMIN + 2, SIGUSR2, SIGRTMIN, SIGRTMIN + 1, SIGRTMIN + 1, SIGRTMIN + 1, SIGRTMIN + 1}, sent[] = {0, 99, 0, -1, 7, 14, 21, 28}, by[] = {SI_TKILL, SI_QUEUE, SI_USER, SI_QUEUE, SI_QUEUE, SI_QUEUE, SI_QUEUE, SI_QUEUE};
	for (int i = 0; i < 8; i++) { check(got[i] == order[i], "order"); check(codes[i] == by[i], "code"); if (sent[i]) check(values[i] == sent[i], "value"); }
	printf("all%s\n", wrong[0] ? wrong : " right"); fflush(stdout);
	for (;;) pause();
}
