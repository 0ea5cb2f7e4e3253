// left-out DIRECTORY: counts in memory that is shared with /dev/shm/left-out.PID, by code of a file that is no object, in two threads,
// a line of DIRECTORY/log each time. gdb's cores have no segments for either.
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PAGE = 4096 };

// lea eax, [rdi + 1]; ret
static const unsigned char more_by_one[] = { 0x8d, 0x47, 0x01, 0xc3 };

static void *sleeper(void *unused) {
	// of an arena of its own
	char *kept = malloc(1000);
	for (;;) {
		memset(kept, 1, 1000);
		usleep(1000);
	}
}

int main(int count, char **words) {
	char path[200];
	snprintf(path, sizeof path, "%s/log", words[1]);
	int log = open(path, O_WRONLY | O_CREAT | O_APPEND, 0644);
	snprintf(path, sizeof path, "%s/code", words[1]);
	int code = open(path, O_RDWR | O_CREAT | O_TRUNC, 0755);
	ftruncate(code, 2 * PAGE);
	pwrite(code, more_by_one, sizeof more_by_one, 0);
	int (*next)(int) = mmap(0, PAGE, PROT_READ | PROT_EXEC, MAP_PRIVATE, code, 0);
	// as SBCL's image: some pages of it were written to
	char *written = mmap(0, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE, code, PAGE);
	written[0] = 1;
	snprintf(path, sizeof path, "/dev/shm/left-out.%d", getpid());
	int shared = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
	ftruncate(shared, PAGE);
	int *total = mmap(0, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, shared, 0);
	close(code);
	close(shared);
	pthread_t thread;
	pthread_create(&thread, 0, sleeper, 0);
	for (;;) {
		*total = next(*total);
		dprintf(log, "tick %d\n", *total);
		usleep(20000);
	}
}
