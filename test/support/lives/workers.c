// A parent and its workers: each counts, in memory of its own and in memory that all share, from its place times a million on, and
// keeps a file that says how far: ID COUNT, and the shared counts of all. SIGUSR1 lets it jump by a thousand millions.
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static volatile long count;
static volatile sig_atomic_t jumps;

static void jump(int signal) { jumps++; }

int main(int argc, char **argv) {
	int workers = argc > 1 ? atoi(argv[1]) : 2, place = 0, done = 0;
	volatile long *shared = mmap(0, 65536, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	signal(SIGCHLD, SIG_IGN);
	signal(SIGUSR1, jump);
	for (int i = 1; i <= workers; i++)
		if (fork() == 0) {
			place = i;
			break;
		}
	char text[200];
	sprintf(text, "count.%d", place);
	int fd = open(text, O_RDWR | O_CREAT | O_TRUNC, 0600);
	count = shared[place] = place * 1000000L;
	for (;;) {
		long step = 1;
		for (; done < jumps; done++) step += 1000000000L;
		count += step;
		shared[place] += step;
		int length = sprintf(text, "%d %ld", getpid(), count);
		for (int i = 0; i <= workers; i++) length += sprintf(text + length, " %ld", shared[i]);
		text[length++] = '\n';
		pwrite(fd, text, length, 0);
		usleep(5000);
	}
}
