/*
 * A process that knows for how long it was stopped: a thread of it reads the clock without pause, and keeps the longest time between
 * two readings. argv: MiB of memory, each page another, touched in no order; a file of a page, through which it is talked to.
 */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

static struct talk {
	volatile unsigned long watching; /* set from outside */
	volatile unsigned long longest;  /* nanoseconds */
	volatile unsigned long ready;
} *talk;

static unsigned long now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000000000UL + time.tv_nsec;
}

static void *watch(void *unused)
{
	for (;;) {
		unsigned long last;

		while (!talk->watching)
			usleep(1000);
		talk->longest = 0;
		for (last = now(); talk->watching;) {
			unsigned long next = now();

			if (next - last > talk->longest)
				talk->longest = next - last;
			last = next;
		}
	}
	return unused;
}

static unsigned long random_word(void)
{
	static unsigned long word = 88172645463325252UL;

	word ^= word << 13;
	word ^= word >> 7;
	return word ^= word << 17;
}

int main(int count, char **word)
{
	unsigned long pages = count > 2 ? strtoul(word[1], 0, 10) * 256 : 0;
	unsigned *order = malloc(pages * sizeof *order);
	int file = count > 2 ? open(word[2], O_RDWR) : -1;
	unsigned long(*memory)[512] = mmap(0, pages * sizeof *memory, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	pthread_t thread;

	/* whoever measures may be interrupted */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	talk = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	if (!order || memory == MAP_FAILED || talk == MAP_FAILED)
		return 1;
	for (unsigned long i = 0; i < pages; i++)
		order[i] = i;
	for (unsigned long i = pages; i-- > 1;) {
		unsigned long other = random_word() % (i + 1);
		unsigned page = order[i];

		order[i] = order[other];
		order[other] = page;
	}
	for (unsigned long i = 0; i < pages; i++)
		for (int j = 0; j < 512; j++)
			memory[order[i]][j] = random_word();
	free(order);
	close(file);
	if (pthread_create(&thread, 0, watch, 0))
		return 1;
	for (talk->ready = 1;;)
		pause();
}
