// Dies with threads and a state that its functions tell of: of its own fault; or, asked to, of a signal that it sends itself,
// after which it would end with status 7.
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

static int total = 37;
static int *volatile nowhere;
static pthread_barrier_t all;
static pthread_mutex_t never = PTHREAD_MUTEX_INITIALIZER;

int compute(int n) { return n * 100 + total; }

int add(int n) { return total += n; }

static void *stand(void *unused) {
	pthread_barrier_wait(&all);
	pthread_mutex_lock(&never);
	return unused;
}

int main(int argc, char **argv) {
	pthread_t thread;
	pthread_mutex_lock(&never);
	pthread_barrier_init(&all, 0, 3);
	for (int i = 0; i < 2; i++) pthread_create(&thread, 0, stand, 0);
	pthread_barrier_wait(&all);
	add(5);
	if (argc > 1 && strcmp(argv[1], "signal") == 0) {
		raise(SIGQUIT);
		_exit(7);
	}
	*nowhere = compute(1);
	_exit(8);
}
