// Dies with threads and a state that its functions tell of: "fault", of its own; "signal", of one that it sends itself, after
// which it would end with status 7; "serve LOG", of the same, after which it would tell the log its state at each SIGUSR1;
// "live LOG", which does that with another state, not at all.
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int total = 37;
static int log_file;
static int *volatile nowhere;
static pthread_barrier_t all;
static pthread_mutex_t never = PTHREAD_MUTEX_INITIALIZER;

int compute(int n) { return n * 100 + total; }

int add(int n) { return total += n; }

static void tell(int signal) { dprintf(log_file, "signal %d total %d\n", signal, total); }

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
	const char *how = argc > 1 ? argv[1] : "fault";
	if (argc > 2) {
		struct sigaction action = {.sa_handler = tell};
		log_file = open(argv[2], O_WRONLY | O_APPEND | O_CREAT, 0600);
		sigaction(SIGUSR1, &action, 0);
	}
	if (strcmp(how, "live") == 0) {
		add(1000);
		tell(0);
	} else if (strcmp(how, "fault") != 0)
		raise(SIGQUIT);
	if (strcmp(how, "signal") == 0) _exit(7);
	while (argc > 2) pause();
	*nowhere = compute(1);
	_exit(8);
}
