// `storm victim COUNT`: threads that count the signals they get, each of which carries a number of its own. When all have come it
// tells whoever sent them (SIGUSR1), stops itself, and says afterwards what it saw.
// `storm send COUNT SIGNAL TID...`: sends them to the threads by turns, the leader first, and half way the SIGNAL to the process;
// waits to be told where that is 0.
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { MOST = 100000, THREADS = 4 };

static volatile int seen[MOST];
static volatile int come, strange, sender;

static void on_signal(int number, siginfo_t *info, void *context) {
	int value = info->si_value.sival_int;

	if (info->si_code != SI_QUEUE || value < 0 || value >= MOST || number != SIGRTMIN + value % (SIGRTMAX - SIGRTMIN + 1))
		__atomic_add_fetch(&strange, 1, __ATOMIC_SEQ_CST);
	else
		__atomic_add_fetch(&seen[value], 1, __ATOMIC_SEQ_CST);
	sender = info->si_pid;
	__atomic_add_fetch(&come, 1, __ATOMIC_SEQ_CST);
}

static void *idle(void *id) {
	*(volatile int *)id = syscall(SYS_gettid);
	for (;;)
		pause();
}

static int victim(int count) {
	volatile int tids[THREADS] = { getpid() };
	struct sigaction action = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_RESTART };
	int once = 0;

	// where Yama is, an agent is none of its ancestors
	prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);
	sigfillset(&action.sa_mask);
	for (int number = SIGRTMIN; number <= SIGRTMAX; number++)
		sigaction(number, &action, 0);
	for (int i = 1; i < THREADS; i++) {
		pthread_t thread;

		pthread_create(&thread, 0, idle, (void *)&tids[i]);
		while (!tids[i])
			sched_yield();
	}
	for (int i = 0; i < THREADS; i++)
		printf("%d%c", tids[i], i == THREADS - 1 ? '\n' : ' ');
	fflush(stdout);
	while (come < count)
		usleep(1000);
	kill(sender, SIGUSR1);
	kill(getpid(), SIGSTOP);
	for (int i = 0; i < count; i++)
		once += seen[i] == 1;
	printf("%d once, %d in all, %d strange\n", once, come, strange);
	return 0;
}

static int send_all(int count, int last, const int *tids) {
	sigset_t told;
	int number;

	sigemptyset(&told);
	sigaddset(&told, SIGUSR1);
	sigprocmask(SIG_BLOCK, &told, 0);
	for (int i = 0; i < count; i++) {
		siginfo_t info;
		int signal = SIGRTMIN + i % (SIGRTMAX - SIGRTMIN + 1);

		memset(&info, 0, sizeof info);
		info.si_signo = signal;
		info.si_code = SI_QUEUE;
		info.si_pid = getpid();
		info.si_uid = getuid();
		info.si_value.sival_int = i;
		if (last && i == count / 2)
			kill(tids[0], last);
		// EAGAIN: so many wait already (RLIMIT_SIGPENDING)
		while (syscall(SYS_rt_tgsigqueueinfo, tids[0], tids[i % THREADS], signal, &info)) {
			if (errno == ESRCH && last)
				return 0;
			if (errno != EAGAIN)
				return 1;
			sched_yield();
		}
	}
	return last ? 0 : sigwait(&told, &number);
}

int main(int count, char **args) {
	int tids[THREADS];

	if (count == 3)
		return victim(atoi(args[2]));
	for (int i = 0; i < THREADS; i++)
		tids[i] = atoi(args[4 + i]);
	return send_all(atoi(args[2]), atoi(args[3]), tids);
}
