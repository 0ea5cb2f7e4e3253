// A process that has changed what few programs ever change, and says every 50 ms what of it is not as it was.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PAGE 4096
enum { MEMBARRIER = 324, GET_REGISTRATIONS = 512, PRIVATE_EXPEDITED = 8, MSEAL = 462, KEYCTL = 250 };

static char *sealed, *locked;
static int semaphore, thp;
static char wrong[4096];

static void holds(const char *what, int right) {
	if (right) return;
	strcat(wrong, " ");
	strcat(wrong, what);
}

static int processors(void) {
	cpu_set_t set;
	sched_getaffinity(0, sizeof set, &set);
	return CPU_COUNT(&set) == 1 && CPU_ISSET(0, &set);
}

static long policy(void) {
	int mode = -1;
	unsigned long nodes[16] = {0};
	syscall(SYS_get_mempolicy, &mode, nodes, 1025L, 0L, 0L);
	return mode == 3 && nodes[0] == 1; // interleave over node 0
}

static int flag(const char *at, const char *word) {
	char line[512];
	int found = 0, in = 0;
	FILE *maps = fopen("/proc/self/smaps", "r");
	while (fgets(line, sizeof line, maps)) {
		unsigned long start, end;
		if (sscanf(line, "%lx-%lx ", &start, &end) == 2) in = (unsigned long)at >= start && (unsigned long)at < end;
		if (in && !strncmp(line, "VmFlags:", 8)) found = strstr(line, word) != 0;
	}
	fclose(maps);
	return found;
}

static unsigned long filter(void) {
	char text[32] = "";
	int file = open("/proc/self/coredump_filter", O_RDONLY);
	read(file, text, 31);
	close(file);
	return strtoul(text, 0, 16);
}

static void *second(void *ready) {
	syscall(SYS_ioprio_set, 1, 0, 3 << 13);
	prctl(PR_SET_TIMERSLACK, 7000, 0, 0, 0);
	*(volatile int *)ready = 1;
	for (;;) {
		usleep(10000);
		if (syscall(SYS_ioprio_get, 1, 0) != 3 << 13 || prctl(PR_GET_TIMERSLACK, 0, 0, 0, 0) != 7000 || !processors())
			*(volatile int *)ready = 2;
	}
}

int main(int argc, char **argv) {
	volatile int ready = 0;
	int tsc = 0;
	personality(ADDR_NO_RANDOMIZE);
	cpu_set_t one;
	CPU_ZERO(&one);
	CPU_SET(0, &one);
	sched_setaffinity(0, sizeof one, &one);
	pthread_t thread;
	pthread_create(&thread, 0, second, (void *)&ready);
	while (!ready) usleep(1000);
	syscall(SYS_ioprio_set, 1, 0, 2 << 13 | 6);
	prctl(PR_SET_TIMERSLACK, 123456, 0, 0, 0);
	unsigned long node = 1;
	syscall(SYS_set_mempolicy, 3, &node, 64);
	prctl(PR_MCE_KILL, PR_MCE_KILL_SET, PR_MCE_KILL_EARLY, 0, 0);
	int file = open("/proc/self/coredump_filter", O_WRONLY);
	write(file, "0x77", 4);
	close(file);
	syscall(MEMBARRIER, 16, 0, 0);
	sealed = mmap(0, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	syscall(MSEAL, sealed, PAGE, 0);
	locked = mmap(0, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	mlock2(locked, 4 * PAGE, 1);
	locked[0] = 1;
	semaphore = eventfd(1000000, EFD_SEMAPHORE);
	int merging = prctl(67, 1, 0, 0, 0) == 0; // PR_SET_MEMORY_MERGE
	int tsc_faults = 0, mdwe = 0;
	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "mdwe")) mdwe = prctl(65, 1, 0, 0, 0) == 0; // PR_SET_MDWE
		if (!strcmp(argv[i], "tsc")) tsc_faults = prctl(PR_SET_TSC, PR_TSC_SIGSEGV, 0, 0, 0) == 0;
	}
	for (int round = 0;; round++) {
		wrong[0] = 0;
		holds("second-thread", ready == 1);
		holds("personality", personality(0xffffffff) == ADDR_NO_RANDOMIZE);
		holds("affinity", processors());
		holds("io-priority", syscall(SYS_ioprio_get, 1, 0) == (2 << 13 | 6));
		holds("timer-slack", prctl(PR_GET_TIMERSLACK, 0, 0, 0, 0) == 123456);
		holds("memory-policy", policy());
		holds("memory-errors", prctl(PR_MCE_KILL_GET, 0, 0, 0, 0) == PR_MCE_KILL_EARLY);
		holds("coredump-filter", filter() == 0x77);
		holds("membarrier", syscall(MEMBARRIER, GET_REGISTRATIONS, 0, 0) == 16);
		holds("membarrier-works", syscall(MEMBARRIER, PRIVATE_EXPEDITED, 0, 0) == 0);
		holds("sealed", mprotect(sealed, PAGE, PROT_READ | PROT_WRITE) == -1 && errno == EPERM);
		holds("locked-on-fault", flag(locked, " lf"));
		unsigned long count = 0;
		read(semaphore, &count, 8);
		holds("semaphore", count == 1);
		holds("merging", prctl(68, 0, 0, 0, 0) == merging);
		holds("write-execute", prctl(66, 0, 0, 0, 0) == mdwe);
		prctl(PR_GET_TSC, &tsc, 0, 0, 0);
		holds("tsc", tsc == (tsc_faults ? PR_TSC_SIGSEGV : PR_TSC_ENABLE));
		// the calls of the vdso read the time stamp counter
		char line[4400];
		int length = sprintf(line, "%d%s\n", round, wrong[0] ? wrong : " right");
		write(1, line, length);
		struct timespec pause = {0, 50000000};
		syscall(SYS_nanosleep, &pause, 0);
	}
}
