/* Maps the files that it is given, and makes and ends threads all the time. */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

static void *brief(void *unused) {
	usleep(500);
	return unused;
}

static void *restless(void *unused) {
	for (;;) {
		pthread_t threads[8];
		int made = 0;
		while (made < 8 && pthread_create(&threads[made], 0, brief, 0) == 0) made++;
		while (made > 0) pthread_join(threads[--made], 0);
	}
	return unused;
}

int main(int argc, char **argv) {
	for (int i = 1; i < argc; i++) {
		int file = open(argv[i], O_RDONLY);
		if (file < 0 || mmap(0, 4096, PROT_READ, MAP_PRIVATE, file, 0) == MAP_FAILED) return 1;
		close(file);
	}
	for (int i = 0; i < 4; i++) {
		pthread_t thread;
		pthread_create(&thread, 0, restless, 0);
	}
	puts("ready");
	fflush(stdout);
	for (;;) pause();
}
