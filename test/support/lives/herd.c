/*
 * 200 threads behind a barrier, in mutexes of all kinds and in reader-writer locks, and one each that dies with a robust mutex and waits
 * for one. Told to by SIGUSR1, it lets them all go, joins them, makes new ones and says `joined N right`, or what is not.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/rseq.h>
#include <sys/syscall.h>
#include <unistd.h>
enum { N = 200 };
static char wrong[1000];
static void check(int holds, const char *what) { if (!holds && strlen(wrong) < 900) { strcat(wrong, " "); strcat(wrong, what); } }
static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER, held, inherited;
static pthread_mutex_t *robust, *shared_robust;
static pthread_cond_t open_gate = PTHREAD_COND_INITIALIZER;
static pthread_rwlock_t readers = PTHREAD_RWLOCK_INITIALIZER;
static pthread_barrier_t ready, round_trip;
static sem_t one;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t key;
static int is_open, sum, keys_gone;
static __thread long mine;
static void forget(void *value) { __sync_fetch_and_add(&keys_gone, 1); }
static void first(void) { pthread_key_create(&key, forget); }
static void *sheep(void *arg) {
	mine = (long)arg * 3;
	pthread_once(&once, first); pthread_setspecific(key, &mine);
	pthread_barrier_wait(&ready);
	switch ((long)arg % 4) {
	case 0: pthread_mutex_lock(&gate); while (!is_open) pthread_cond_wait(&open_gate, &gate); sum++; pthread_mutex_unlock(&gate); break;
	case 1: pthread_rwlock_rdlock(&readers); pthread_rwlock_unlock(&readers); __sync_fetch_and_add(&sum, 1); break;
	case 2: sem_wait(&one); __sync_fetch_and_add(&sum, 1); sem_post(&one); break;
	case 3: pthread_mutex_lock(&inherited); __sync_fetch_and_add(&sum, 1); pthread_mutex_unlock(&inherited); break;
	}
	pthread_barrier_wait(&round_trip);
	return (void *)mine;
}
/* ends without a word to the C library: the kernel must find its list */
static void *dies(void *arg) {
	pthread_mutex_lock(robust); pthread_mutex_lock(shared_robust);
	pthread_barrier_wait(&ready);
	pthread_mutex_lock(&held);
	syscall(SYS_exit, 0);
	return 0;
}
static void *inherits(void *mutex) {
	pthread_barrier_wait(&ready);
	int told = pthread_mutex_lock(mutex);
	pthread_mutex_consistent(mutex); pthread_mutex_unlock(mutex);
	return (void *)(long)told;
}
static void *young(void *arg) {
	cpu_set_t before, only; int cpu = (long)arg % sysconf(_SC_NPROCESSORS_ONLN);
	sched_getaffinity(0, sizeof before, &before);
	CPU_ZERO(&only); CPU_SET(cpu, &only);
	if (sched_setaffinity(0, sizeof only, &only) == 0) check(sched_getcpu() == cpu, "sched_getcpu of a young thread");
	sched_setaffinity(0, sizeof before, &before);
	return arg;
}
int main(void) {
	pthread_t flock[N], dead, heirs[2]; pthread_attr_t attr; void *back;
	sigset_t usr1; sigemptyset(&usr1); sigaddset(&usr1, SIGUSR1); sigprocmask(SIG_BLOCK, &usr1, 0);
	robust = malloc(sizeof *robust); shared_robust = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pthread_mutexattr_t kind; pthread_mutexattr_init(&kind); pthread_mutexattr_setprotocol(&kind, PTHREAD_PRIO_INHERIT); pthread_mutex_init(&inherited, &kind);
	pthread_mutexattr_init(&kind); pthread_mutexattr_setrobust(&kind, PTHREAD_MUTEX_ROBUST); pthread_mutex_init(robust, &kind);
	pthread_mutexattr_setpshared(&kind, PTHREAD_PROCESS_SHARED); pthread_mutex_init(shared_robust, &kind);
	pthread_mutexattr_init(&kind); pthread_mutexattr_settype(&kind, PTHREAD_MUTEX_RECURSIVE); pthread_mutex_init(&held, &kind);
	pthread_barrier_init(&ready, 0, N + 4); pthread_barrier_init(&round_trip, 0, N); sem_init(&one, 0, 0);
	pthread_mutex_lock(&held); pthread_mutex_lock(&held); pthread_mutex_lock(&inherited); pthread_rwlock_wrlock(&readers);
	pthread_attr_init(&attr); pthread_attr_setstacksize(&attr, 65536);
	for (long i = 0; i < N; i++) pthread_create(flock + i, &attr, sheep, (void *)i);
	pthread_create(&dead, &attr, dies, 0); while (!__atomic_load_n(&shared_robust->__data.__lock, __ATOMIC_SEQ_CST)) usleep(1000);
	pthread_create(heirs, &attr, inherits, robust); pthread_create(heirs + 1, &attr, inherits, shared_robust);
	pthread_barrier_wait(&ready);
	puts("ready"); fflush(stdout);
	int number; while (sigwait(&usr1, &number));
	check(pthread_mutex_trylock(robust) == EBUSY && pthread_mutex_trylock(shared_robust) == EBUSY, "robust mutexes held");
	check(pthread_mutex_unlock(&held) == 0 && pthread_mutex_unlock(&held) == 0, "recursive mutex");
	pthread_mutex_lock(&gate); is_open = 1; pthread_cond_broadcast(&open_gate); pthread_mutex_unlock(&gate);
	pthread_rwlock_unlock(&readers); sem_post(&one); check(pthread_mutex_unlock(&inherited) == 0, "mutex with inheritance of priority");
	int joined = 0;
	for (long i = 0; i < N; i++) if (pthread_join(flock[i], &back) == 0 && (long)back == i * 3) joined++;
	check(joined == N, "join"); check(sum == N, "sum"); check(keys_gone == N, "destructors of keys");
	for (int i = 0; i < 2; i++) { pthread_join(heirs[i], &back); check((long)back == EOWNERDEAD, "death of an owner"); }
	for (int i = 0; i < CPU_SETSIZE && i < sysconf(_SC_NPROCESSORS_ONLN); i++) {
		cpu_set_t only; CPU_ZERO(&only); CPU_SET(i, &only);
		if (sched_setaffinity(0, sizeof only, &only)) continue;
		struct rseq *area = (void *)((char *)__builtin_thread_pointer() + __rseq_offset);
		check(sched_getcpu() == i && __rseq_size > 0 && (int)area->cpu_id == i, "rseq");
	}
	for (long i = 0; i < N; i++) pthread_create(flock + i, &attr, young, (void *)i);
	for (long i = 0; i < N; i++) { pthread_join(flock[i], &back); check((long)back == i, "young"); }
	printf("joined %d%s\n", joined, wrong[0] ? wrong : " right"); fflush(stdout);
	for (;;) pause();
}
