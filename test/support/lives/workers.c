// A parent and its workers: each counts in memory of its own and in memory that all share, and keeps the last line of its file
// up to date: COUNT OF-THE-PARENT OF-WORKER-1 … All of them began to count with their place, times a million.
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

static volatile long count;

int main(int argc, char **argv) {
	int workers = argc > 1 ? atoi(argv[1]) : 2;
	volatile long *shared = mmap(0, 65536, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	signal(SIGCHLD, SIG_IGN);
	int place = 0;
	for (int i = 1; i <= workers; i++)
		if (fork() == 0) {
			place = i;
			break;
		}
	char text[200];
	snprintf(text, sizeof text, place == 0 ? "parent" : "worker.%d", place);
	if (argc > 2) prctl(PR_SET_NAME, text);
	int fd = open(text, O_RDWR | O_CREAT | O_TRUNC, 0600);
	count = shared[place] = place * 1000000L;
	for (;;) {
		count++;
		shared[place]++;
		int length = sprintf(text, "%d %ld", getpid(), count);
		for (int i = 0; i <= workers; i++) length += sprintf(text + length, " %ld", shared[i]);
		text[length++] = '\n';
		pwrite(fd, text, length, 0);
		usleep(10000);
	}
}
