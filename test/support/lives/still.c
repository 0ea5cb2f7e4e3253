/* Threads asleep in all kinds of calls, none of which may end; and one that runs, and dies if a register changes under its hands. */
#define _GNU_SOURCE
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <time.h>
#include <unistd.h>
static pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t c = PTHREAD_COND_INITIALIZER;
static int ends[2];
static void prepare(long n) {
	sigset_t s; sigemptyset(&s); sigaddset(&s, SIGRTMIN + 1 + n); pthread_sigmask(SIG_BLOCK, &s, 0);
	stack_t st = {.ss_sp = malloc(16384 + n * 4096), .ss_size = 16384 + n * 4096}; sigaltstack(&st, 0);
}
static void ended(void) { write(1, "a call ended\n", 13); _exit(1); }
static void *reading(void *a) { prepare(1); char b; read(ends[0], &b, 1); ended(); return 0; }
static void *waiting(void *a) { prepare(2); pthread_mutex_lock(&m); pthread_cond_wait(&c, &m); ended(); return 0; }
static void *pausing(void *a) { prepare(3); pause(); ended(); return 0; }
static void *selecting(void *a) { prepare(4); fd_set s; FD_ZERO(&s); FD_SET(ends[0], &s); select(ends[0] + 1, &s, 0, 0, 0); ended(); return 0; }
static void *polling(void *a) { prepare(5); struct pollfd p = {ends[0], POLLIN}; poll(&p, 1, -1); ended(); return 0; }
static void *suspended(void *a) { prepare(6); sigset_t s; sigfillset(&s); sigsuspend(&s); ended(); return 0; }
static void *running(void *counter) {
	__asm__ volatile(
		"mov %0, %%rdi\n mov $0x1111111111111111, %%rbx\n mov $0x2222222222222222, %%r12\n mov $0x3333333333333333, %%r15\n"
		"movq %%rbx, %%xmm0\n movq %%r12, %%xmm7\n movq %%r15, %%xmm15\n fldpi\n"
		"1: incq (%%rdi)\n movq %%xmm0, %%rax\n cmp %%rbx, %%rax\n jne 2f\n movq %%xmm7, %%rax\n cmp %%r12, %%rax\n jne 2f\n"
		"movq %%xmm15, %%rax\n cmp %%r15, %%rax\n jne 2f\n mov $0x2222222222222222, %%rax\n cmp %%rax, %%r12\n jne 2f\n"
		"fldpi\n fcomip %%st(1), %%st\n jne 2f\n jmp 1b\n 2: ud2\n" ::"r"(counter) : "memory", "rax", "rbx", "rdi", "r12", "r15");
	return 0;
}
int main(int argc, char **argv) {
	pipe(ends); pthread_t t; void *counter = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	void *(*asleep[])(void *) = {reading, waiting, pausing, selecting, polling, suspended};
	for (int i = 0; i < 6; i++) pthread_create(&t, 0, asleep[i], 0);
	if (argc > 1) pthread_create(&t, 0, running, counter);
	usleep(50000); printf("%p\n", counter); fflush(stdout);
	struct timespec ts = {1000, 0}; nanosleep(&ts, 0); ended();
}
