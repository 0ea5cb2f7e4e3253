/*
 * Sleeps for a while again and again, never until a time, and keeps when it woke last, as servers with an event loop do. Tells
 * how far both clocks went since, in milliseconds.
 */
#include <poll.h>
#include <stdio.h>
#include <time.h>

static struct timespec last[2];

static long long passed(clockid_t clock, struct timespec *last)
{
	struct timespec now;
	clock_gettime(clock, &now);
	const long long since = (now.tv_sec - last->tv_sec) * 1000LL + (now.tv_nsec - last->tv_nsec) / 1000000;
	*last = now;
	return since;
}

int main(void)
{
	setvbuf(stdout, 0, _IOLBF, 0);
	clock_gettime(CLOCK_MONOTONIC, &last[0]);
	clock_gettime(CLOCK_BOOTTIME, &last[1]);
	for (;;) {
		poll(0, 0, 100);
		const long long monotonic = passed(CLOCK_MONOTONIC, &last[0]);
		printf("relative %lld %lld\n", monotonic, passed(CLOCK_BOOTTIME, &last[1]));
	}
}
