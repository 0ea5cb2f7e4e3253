/*
 * locks hold A B C D: locks bytes of A (POSIX), all of B (OFD) and C (flock, by a duplicate), has a lease of D, and says what happens.
 * locks try FILE: says which locks another meets, and whether it may write.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>
static int lock(int fd, int command, int type, long start, long length) {
	struct flock range = { .l_type = type, .l_start = start, .l_len = length };
	return fcntl(fd, command, &range) ? -1 : range.l_type;
}
static int hold(char **files) {
	sigset_t signals;
	siginfo_t info;
	int a = open(files[0], O_RDWR), b = open(files[1], O_RDWR), c = open(files[2], O_RDONLY), d = open(files[3], O_RDONLY);
	sigemptyset(&signals), sigaddset(&signals, SIGRTMIN + 1), sigaddset(&signals, SIGUSR1);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	if (lock(a, F_SETLK, F_RDLCK, 10, 10) || lock(a, F_SETLK, F_WRLCK, 100, 0) < 0) return perror("POSIX"), 1;
	if (lock(b, F_OFD_SETLK, F_WRLCK, 0, 0) < 0) return perror("OFD"), 1;
	if (flock(c, LOCK_EX) || dup(c) < 0) return perror("flock"), 1;
	if (fcntl(d, F_SETSIG, SIGRTMIN + 1) || fcntl(d, F_SETLEASE, F_RDLCK)) return perror("lease"), 1;
	printf("holding\n"), fflush(stdout);
	for (;;) {
		// who is stopped meanwhile gets EINTR
		if (sigwaitinfo(&signals, &info) < 0) continue;
		if (info.si_signo == SIGUSR1) printf("lease %d\n", fcntl(d, F_GETLEASE));
		else printf("told of %d\n", info.si_fd == d);
		fflush(stdout);
	}
}
static int try(const char *file) {
	int fd = open(file, O_RDONLY);
	for (long at = 0; at <= 100; at += 10) {
		struct flock range = { .l_type = F_WRLCK, .l_start = at, .l_len = 1 };
		if (fcntl(fd, F_GETLK, &range) == 0 && range.l_type != F_UNLCK)
			printf("%ld+%ld %s; ", (long)range.l_start, (long)range.l_len, range.l_type == F_RDLCK ? "read" : "write"), at = range.l_len ? range.l_start + range.l_len - 10 : 101;
	}
	printf("%s ", flock(fd, LOCK_EX | LOCK_NB) ? "locked" : "free");
	close(fd);
	printf("%s\n", open(file, O_WRONLY | O_NONBLOCK) < 0 ? "leased" : "writable");
	return 0;
}
int main(int argc, char **argv) { return strcmp(argv[1], "hold") ? try(argv[2]) : hold(argv + 2); }
