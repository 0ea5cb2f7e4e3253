// A process that sees through one way what it writes through another, and says every 50 ms whether it does.
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE 4096

// A private mapping with one page of its own; the other shows the object.
struct pair {
	volatile int *shared, *private;
};

static struct pair of(int file, volatile int *shared) {
	struct pair pair = {shared, mmap(0, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, file, 0)};
	pair.shared[0] = pair.shared[PAGE / 4] = 7;
	pair.private[0] = 8;
	(void)pair.private[PAGE / 4];
	return pair;
}

static int holds(struct pair pair, int round) {
	int before = pair.private[PAGE / 4] == pair.shared[PAGE / 4];
	pair.shared[PAGE / 4] = round + 100;
	return before && pair.private[PAGE / 4] == round + 100 && pair.private[0] == 8 && pair.shared[0] == 7;
}

int main(int argc, char **argv) {
	struct pair memfd = {0}, nameless = {0};
	int log = -1;
	if (!strcmp(argv[1], "memory")) {
		int file = memfd_create("shown", 0);
		ftruncate(file, 2 * PAGE);
		memfd = of(file, mmap(0, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0));
		volatile int *shared = mmap(0, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
		char path[64];
		sprintf(path, "/proc/self/map_files/%lx-%lx", (long)shared, (long)shared + 2 * PAGE);
		nameless = of(open(path, O_RDWR), shared);
	} else if (!strcmp(argv[1], "proc")) { // what the kernel says of it, and a directory that it is told about
		open("/proc/self/status", O_RDONLY);
		signal(SIGIO, SIG_IGN);
		fcntl(open(".", O_RDONLY), F_NOTIFY, DN_CREATE | DN_MULTISHOT);
		log = open("/dev/null", O_WRONLY);
	} else { // a file, opened by a name that goes, while another stays
		log = open(argv[1], O_CREAT | O_RDWR, 0644);
		link(argv[1], argv[2]);
		unlink(argv[1]);
	}
	for (int round = 0;; round++) {
		int right;
		if (log < 0)
			right = holds(memfd, round) + 2 * holds(nameless, round) == 3;
		else if (argc < 3) {
			char text[4096] = "";
			int pid = 0;
			pread(3, text, sizeof text - 1, 0);
			right = sscanf(strstr(text, "\nPid:"), "\nPid: %d", &pid) == 1 && pid == getpid();
		} else {
			struct stat here, there;
			right = pwrite(log, &round, 4, 0) == 4 && !fstat(log, &here) && !stat(argv[2], &there) &&
				here.st_ino == there.st_ino;
		}
		char line[64];
		write(1, line, sprintf(line, "%d %s\n", round, right ? "right" : "wrong"));
		usleep(50000);
	}
}
