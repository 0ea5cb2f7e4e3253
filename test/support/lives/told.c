// told HOW [PATH]: dies, or lives, with something that a core does not hold, or that only a look at it tells.
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <unistd.h>

volatile long total;
volatile long others[3];
// where its signal stack is, and what the kernel said of that when it went on
char spare[65536];
void *volatile told_stack;
volatile long told_flags;

static void nothing(int signal) {}

// dies by the hand of a child, in the midst of a call
static void killed_soon(int signal) {
	pid_t own = getpid();
	if (fork() == 0) {
		usleep(100000);
		kill(own, signal);
		_exit(0);
	}
}

static void count(void) {
	for (;;) {
		total++;
		usleep(10000);
	}
}

static void *named(void *unused) {
	prctl(PR_SET_NAME, "worker");
	for (;;) pause();
}

static void wake(int signal) { total++; }

// waits for a signal that it lets in while it sleeps, and then only
static void suspended(void) {
	sigset_t set, before;
	signal(SIGUSR1, wake);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, &before);
	for (;;) {
		sigsuspend(&before);
		others[0]++;
	}
}

static void many(void) {
	pthread_t thread;
	pthread_create(&thread, 0, named, 0);
	signal(SIGUSR1, nothing);
	int ends[2];
	socketpair(AF_UNIX, SOCK_STREAM, 0, ends);
	alarm(1000);
	usleep(50000);
}

static void waiting(void) {
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, 0);
	kill(getpid(), SIGUSR1);
}

static void on_stack(int signal) {
	stack_t is;
	raise(SIGQUIT);
	sigaltstack(0, &is);
	told_stack = is.ss_sp;
	told_flags = is.ss_flags;
	count();
}

static void *fault(void *unused) {
	usleep(50000);
	*(volatile int *)0xdead0000 = 1;
	return 0;
}

static void in_thread(void) {
	pthread_t thread;
	pthread_create(&thread, 0, fault, 0);
	pthread_join(thread, 0);
}

static void *counter(void *place) {
	for (;;) {
		++*(volatile long *)place;
		usleep(10000);
	}
}

static void crowd(void) {
	pthread_t thread;
	for (int i = 0; i < 3; i++) pthread_create(&thread, 0, counter, (void *)&others[i]);
	usleep(50000);
}

// as a backend of many: what it shares with its parent has no name any more
static void backend(const char *path) {
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
	ftruncate(fd, 8 * 4096);
	volatile char *shared = mmap(0, 8 * 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	memset((void *)shared, 's', 4096);
	if (fork() == 0) {
		FILE *pid = fopen("backend.pid", "w");
		fprintf(pid, "%d\n", getpid());
		fclose(pid);
		for (;;) {
			total = shared[0];
			usleep(10000);
		}
	}
	for (;;) pause();
}

int main(int arguments, char **args) {
	const char *how = args[1];
	if (!strcmp(how, "many")) many();
	if (!strcmp(how, "waiting")) waiting();
	if (!strcmp(how, "in-thread")) in_thread();
	if (!strcmp(how, "crowd")) crowd();
	if (!strcmp(how, "suspended")) {
		killed_soon(SIGQUIT);
		suspended();
	}
	if (!strcmp(how, "suspended-living")) suspended();
	if (!strcmp(how, "backend")) backend(args[2]);
	if (!strcmp(how, "on-stack")) {
		sigaltstack(&(stack_t){ .ss_sp = spare, .ss_size = sizeof spare }, 0);
		struct sigaction action = { .sa_handler = on_stack, .sa_flags = SA_ONSTACK };
		sigaction(SIGUSR1, &action, 0);
		raise(SIGUSR1);
	}
	if (!strcmp(how, "timer")) {
		int timer = timerfd_create(CLOCK_MONOTONIC, 0);
		timerfd_settime(timer, 0, &(struct itimerspec){ .it_value = { 1000 } }, 0);
		killed_soon(SIGQUIT);
		long long times;
		read(timer, &times, sizeof times);
	}
	if (!strcmp(how, "forever")) {
		int epoll = epoll_create1(0);
		int ends[2];
		socketpair(AF_UNIX, SOCK_STREAM, 0, ends);
		epoll_ctl(epoll, EPOLL_CTL_ADD, ends[0], &(struct epoll_event){ .events = EPOLLIN });
		killed_soon(SIGQUIT);
		struct epoll_event event;
		epoll_wait(epoll, &event, 1, -1);
	}
	// a donor, with two descriptors that cannot be dumped
	if (!strcmp(how, "living")) {
		socket(AF_INET, SOCK_DGRAM, 0);
		socket(AF_INET, SOCK_DGRAM, 0);
		for (;;) pause();
	}
	raise(SIGQUIT);
	count();
}
