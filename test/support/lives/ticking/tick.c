/*
 * Sleeps in every way that ends at a time of CLOCK_MONOTONIC or CLOCK_BOOTTIME, a tenth of a second each, and tells of every
 * tick: who, and how far both clocks went since that one's last, in milliseconds.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <semaphore.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

static struct timespec in_a_moment(clockid_t clock)
{
	struct timespec t;
	clock_gettime(clock, &t);
	t.tv_nsec += 100000000;
	if (t.tv_nsec >= 1000000000) {
		t.tv_nsec -= 1000000000;
		t.tv_sec++;
	}
	return t;
}

struct reading {
	struct timespec monotonic, boottime;
};

static void read_clocks(struct reading *now)
{
	clock_gettime(CLOCK_MONOTONIC, &now->monotonic);
	clock_gettime(CLOCK_BOOTTIME, &now->boottime);
}

static long long passed(const struct timespec *from, const struct timespec *to)
{
	return (to->tv_sec - from->tv_sec) * 1000LL + (to->tv_nsec - from->tv_nsec) / 1000000;
}

static void tick(const char *who, struct reading *last)
{
	struct reading now;
	read_clocks(&now);
	dprintf(1, "%s %lld %lld\n", who, passed(&last->monotonic, &now.monotonic), passed(&last->boottime, &now.boottime));
	*last = now;
}

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t plain = PTHREAD_COND_INITIALIZER, monotonic;
static sem_t semaphore;

static void clockwait(const struct timespec *t) { pthread_cond_clockwait(&plain, &mutex, CLOCK_MONOTONIC, t); }
static void timedwait(const struct timespec *t) { pthread_cond_timedwait(&monotonic, &mutex, t); }
static void nanosleeps(const struct timespec *t) { clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, t, 0); }
static void boottimes(const struct timespec *t) { clock_nanosleep(CLOCK_BOOTTIME, TIMER_ABSTIME, t, 0); }
static void semwait(const struct timespec *t) { sem_clockwait(&semaphore, CLOCK_MONOTONIC, t); }

static int timer = -1;

/* without its descriptor it sleeps otherwise */
static void reads(const struct timespec *t)
{
	const struct itimerspec at = { .it_value = *t };
	uint64_t count;
	if (timerfd_settime(timer, TFD_TIMER_ABSTIME, &at, 0) || read(timer, &count, 8) != 8)
		nanosleeps(t);
}

struct way {
	const char *name;
	void (*wait)(const struct timespec *);
};

static const struct way ways[] = {
	{ "clockwait", clockwait }, { "timedwait", timedwait }, { "nanosleep", nanosleeps }, { "semaphore", semwait },
	{ "boottime", boottimes }, { "timerfd", reads },
};

static void *run(void *arg)
{
	const struct way *way = arg;
	const int locks = way->wait == clockwait || way->wait == timedwait;
	struct reading last;
	read_clocks(&last);
	for (;;) {
		const struct timespec until = in_a_moment(way->wait == boottimes ? CLOCK_BOOTTIME : CLOCK_MONOTONIC);
		if (locks)
			pthread_mutex_lock(&mutex);
		way->wait(&until);
		if (locks)
			pthread_mutex_unlock(&mutex);
		tick(way->name, &last);
	}
}

int main(void)
{
	pthread_condattr_t attributes;
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&monotonic, &attributes);
	sem_init(&semaphore, 0, 0);
	timer = timerfd_create(CLOCK_MONOTONIC, 0);
	for (unsigned i = 1; i < sizeof ways / sizeof *ways; i++) {
		pthread_t thread;
		pthread_create(&thread, 0, run, (void *)&ways[i]);
	}
	return run((void *)&ways[0]) != 0;
}
