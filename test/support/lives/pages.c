/* Memory whose pages differ, of kinds that are hard to hand over; asleep afterwards. How it can be made harder still: argv[1]. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
static char *fresh(size_t size) { return mmap(0, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0); }
static void fill(char *at, size_t size, unsigned long seed) {
	for (size_t i = 0; i < size / 8; i++) ((unsigned long *)at)[i] = (seed += 0x9e3779b97f4a7c15) ^ (seed >> 29);
}
/* Another process with the same descriptors: takes out of every pipe what it finds there, or makes it small. */
static void thief(int shrinks) {
	char bytes[4096];
	if (syscall(SYS_clone, CLONE_FILES | SIGCHLD, 0, 0, 0, 0)) { wait(0); return; }
	if (syscall(SYS_clone, CLONE_FILES | SIGCHLD, 0, 0, 0, 0)) _exit(0);
	for (;;) for (int fd = 3; fd < 16; fd++) {
		if (fcntl(fd, F_GETPIPE_SZ) < 0) continue;
		if (shrinks) fcntl(fd, F_SETPIPE_SZ, 4096);
		else if (fcntl(fd, F_SETFL, O_NONBLOCK) == 0) read(fd, bytes, sizeof bytes);
	}
}
int main(int argc, char **argv) {
	const char *harder = argc > 1 ? argv[1] : "";
	char *whole = fresh(5 << 20); fill(whole, 5 << 20, 1);
	char *scattered = fresh(16 << 20);
	for (size_t at = 0; at < 16 << 20; at += 8192) fill(scattered + at, 4096, at);
	/* between pages that can be read, some that nobody may touch, and some that may only be written */
	char *mixed = fresh(6 << 20); fill(mixed, 6 << 20, 7);
	mprotect(mixed + (1 << 20) + 4096, 5 * 4096, PROT_NONE);
	mprotect(mixed + (3 << 20), 2 << 20, PROT_NONE);
	mprotect(mixed + (5 << 20) + 8192, 4096, PROT_WRITE);
	char *locked = fresh(2 << 20); fill(locked, 2 << 20, 9);
	int key = pkey_alloc(0, PKEY_DISABLE_ACCESS);
	if (key >= 0) pkey_mprotect(locked + 4096, 1 << 20, PROT_READ | PROT_WRITE, key);
	if (!strcmp(harder, "no descriptor")) {
		struct rlimit few = {32, 32}; setrlimit(RLIMIT_NOFILE, &few);
		while (dup(1) >= 0);
	}
	if (!strcmp(harder, "robbed")) thief(0);
	if (!strcmp(harder, "shrunk")) thief(1);
	printf("%d\n", key >= 0); fflush(stdout);
	pause();
}
