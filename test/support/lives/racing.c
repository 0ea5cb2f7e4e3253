/*
 * Two threads that open their files when they start, in the one order or the other: a ticker reads a timerfd, the first
 * waits for it by epoll, whose data is the address of a static structure. Every tick is told in a log, with a total that
 * began at START. A timer counts the processor time of the ticker.
 *
 *   racing LOG START early|late    when the ticker opens its timer: before or after the first opens its files
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

static struct watched {
	void (*handle)(struct watched *);
	int fd;
	long total;
} ticks;

static int logged;
static volatile int opened, running;

static void die(const char *what) {
	perror(what);
	exit(1);
}

static void tell(struct watched *watched) {
	uint64_t count;
	if (read(watched->fd, &count, sizeof count) != sizeof count) die("read");
	char line[64];
	for (; count > 0; count--) {
		int length = snprintf(line, sizeof line, "total %ld\n", ++watched->total);
		if (write(logged, line, length) != length) die("write");
	}
}

__attribute__((noreturn)) static void *tick(void *unused) {
	(void)unused;
	int timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
	struct itimerspec every = { { 0, 200000000 }, { 0, 200000000 } };
	if (timer < 0 || timerfd_settime(timer, 0, &every, NULL) != 0) die("timerfd");
	opened = 1;
	while (!running) usleep(1000);
	uint64_t count;
	for (;;) {
		if (read(timer, &count, sizeof count) != sizeof count) continue;
		if (write(ticks.fd, &count, sizeof count) != sizeof count) die("eventfd");
	}
}

int main(int argc, char **argv) {
	if (argc != 4) return 2;
	logged = open(argv[1], O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	ticks.total = atol(argv[2]);
	pthread_t ticker;
	int early = strcmp(argv[3], "early") == 0;
	if (early && pthread_create(&ticker, NULL, tick, NULL) != 0) die("thread");
	while (early && !opened) usleep(1000);
	int set = epoll_create1(EPOLL_CLOEXEC);
	ticks.fd = eventfd(0, EFD_CLOEXEC);
	ticks.handle = tell;
	if (!early && pthread_create(&ticker, NULL, tick, NULL) != 0) die("thread");
	while (!opened) usleep(1000);
	struct epoll_event event = { EPOLLIN, { .ptr = &ticks } };
	if (epoll_ctl(set, EPOLL_CTL_ADD, ticks.fd, &event) != 0) die("epoll_ctl");
	clockid_t clock;
	timer_t timer;
	struct sigevent silent = { .sigev_notify = SIGEV_NONE };
	if (pthread_getcpuclockid(ticker, &clock) != 0 || timer_create(clock, &silent, &timer) != 0) die("timer");
	running = 1;
	for (;;) {
		struct epoll_event events[4];
		int count = epoll_wait(set, events, 4, -1);
		for (int i = 0; i < count; i++) {
			struct watched *watched = events[i].data.ptr;
			watched->handle(watched);
		}
	}
}
