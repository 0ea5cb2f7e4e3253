/* N threads, each with its own TLS, name and alternate stack, answer the first round by round: `round answers on-stack`. */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
static pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t c = PTHREAD_COND_INITIALIZER;
static long turn, done;
static volatile int hits;
static __thread long mine;
static void on_usr1(int s) { stack_t st; sigaltstack(0, &st); if (st.ss_flags & SS_ONSTACK) __sync_fetch_and_add(&hits, 1); }
static void *worker(void *a) {
	char name[16], now[16]; mine = (long)a; sprintf(name, "worker%ld", mine); pthread_setname_np(pthread_self(), name);
	stack_t st = {.ss_sp = malloc(32768), .ss_size = 32768}; sigaltstack(&st, 0);
	for (long seen = 1;; seen++) {
		pthread_mutex_lock(&m);
		while (turn < seen) pthread_cond_wait(&c, &m);
		pthread_getname_np(pthread_self(), now, 16); if (mine != (long)a || strcmp(now, name)) abort();
		done++; pthread_cond_broadcast(&c); pthread_mutex_unlock(&m);
	}
}
static pthread_t t[1000];
int main(int argc, char **argv) {
	long n = atol(argv[1]), areas = atol(argv[2]); pthread_attr_t at; pthread_attr_init(&at); pthread_attr_setstacksize(&at, 65536);
	sigaction(SIGUSR1, &(struct sigaction){.sa_handler = on_usr1, .sa_flags = SA_ONSTACK | SA_RESTART}, 0);
	for (long i = 0; i < areas; i++) { char *p = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0); *p = 1; mprotect(p + 4096, 4096, i & 1 ? PROT_NONE : PROT_READ); }
	for (long i = 0; i < n; i++) if (pthread_create(t + i, &at, worker, (void *)i)) abort();
	for (;;) {
		pthread_mutex_lock(&m); done = 0; turn++; pthread_cond_broadcast(&c); while (done < n) pthread_cond_wait(&c, &m); pthread_mutex_unlock(&m);
		hits = 0; for (long i = 0; i < n; i++) pthread_kill(t[i], SIGUSR1);
		usleep(100000); printf("%ld %ld %d\n", turn, done, hits); fflush(stdout);
	}
}
