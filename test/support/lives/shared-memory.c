// A parent and its children that have memory of every kind in common, and memfds open in ways of their own. Says what it sees at its
// start and on SIGUSR1: the same before a dump and after a restore.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE 4096
static char *anonymous, *named, *sealed, *late, *posix, *ghost, *private;
static int of_all, again, reader, unmapped, closing;

static void require(int fine, const char *what) {
	if (fine) return;
	printf("%s: %s\n", what, strerror(errno));
	exit(1);
}

static char *mapped(int fd, size_t pages, int prot, int flags) {
	char *at = mmap(NULL, pages * PAGE, prot, flags, fd, 0);
	require(at != MAP_FAILED, "mmap");
	return at;
}

static int file(const char *path, size_t pages) {
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL, 0600);
	require(fd >= 0 && ftruncate(fd, pages * PAGE) == 0, path);
	return fd;
}

static int memfd(const char *name, int flags, size_t pages) {
	int fd = memfd_create(name, flags);
	require(fd >= 0 && ftruncate(fd, pages * PAGE) == 0, name);
	return fd;
}

static void make(void) {
	anonymous = mapped(-1, 40, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS);
	of_all = memfd("of all", MFD_ALLOW_SEALING, 3);
	named = mapped(of_all, 3, PROT_READ | PROT_WRITE, MAP_SHARED);
	private = mapped(of_all, 3, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	strcpy(named, "by all");
	strcpy(private + PAGE, "each its own");
	require(write(of_all, "at the place of all", 19) == 19, "write");
	// mapped to be read by all, and written by nobody any more
	int once = memfd("once", MFD_ALLOW_SEALING, 1);
	require(write(once, "written once", 12) == 12, "write");
	require(fchmod(once, 0440) == 0 && fcntl(once, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK) == 0, "F_ADD_SEALS");
	sealed = mapped(once, 1, PROT_READ, MAP_SHARED);
	require(dup2(once, 20) == 20 && close(once) == 0, "dup2");
	unmapped = memfd("in no memory", 0, 2);
	require(write(unmapped, "only open", 9) == 9, "write");
	require((unmapped = fcntl(unmapped, F_DUPFD, 40)) == 40, "F_DUPFD");
	// whoever had it for writing has it so still
	closing = memfd("late", MFD_CLOEXEC | MFD_ALLOW_SEALING, 1);
	late = mapped(closing, 1, PROT_READ | PROT_WRITE, MAP_SHARED);
	require(fcntl(closing, F_ADD_SEALS, F_SEAL_FUTURE_WRITE | F_SEAL_GROW) == 0, "F_ADD_SEALS");
	char path[64];
	snprintf(path, sizeof path, "/dev/shm/necromancer-%d", getpid());
	posix = mapped(file(path, 2), 2, PROT_READ | PROT_WRITE, MAP_SHARED);
	strcat(path, "-gone");
	ghost = mapped(file(path, 2), 2, PROT_READ | PROT_WRITE, MAP_SHARED);
	require(unlink(path) == 0, "unlink");
	strcpy(ghost, "of no name");
}

static void say(int who) {
	struct stat it;
	sprintf(anonymous + who * PAGE, "%d was here", who);
	sprintf(posix + who * 64, "%d too", who);
	sprintf(late, "%d wrote", who);
	char word[32] = "";
	require(pread(unmapped, word, sizeof word - 1, 0) > 0, "pread");
	require(fstat(20, &it) == 0, "fstat");
	printf("%d: %s, %s, %s, %s, %s, %s, %s, mode %o, seals %x %x %x, at %ld %ld %ld\n", who, named, private + PAGE, sealed, late, ghost,
	       posix, word, it.st_mode & 07777, fcntl(20, F_GET_SEALS), fcntl(of_all, F_GET_SEALS), fcntl(closing, F_GET_SEALS),
	       lseek(of_all, 0, SEEK_CUR),
	       again > 0 ? lseek(again, 0, SEEK_CUR) : -1, reader > 0 ? lseek(reader, 0, SEEK_CUR) : -1);
	for (int i = 0; i < 3; i++) printf("%d sees %s\n", who, anonymous + i * PAGE);
	printf("end\n");
	fflush(stdout);
}

int main(void) {
	sigset_t told;
	sigemptyset(&told);
	sigaddset(&told, SIGUSR1);
	sigprocmask(SIG_BLOCK, &told, NULL);
	make();
	int who = 0, turns[2][2];
	for (int i = 1; i < 3 && who == 0; i++) {
		require(pipe(turns[i - 1]) == 0, "pipe");
		if (fork() == 0) {
			who = i;
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			// descriptions of their own: one that writes, one that reads
			char path[64];
			snprintf(path, sizeof path, "/proc/self/fd/%d", of_all);
			again = open(path, O_RDWR);
			reader = open(path, O_RDONLY);
			require(again >= 0 && reader >= 0 && lseek(again, i * 10, SEEK_SET) == i * 10, "open");
			if (i == 2) munmap(private, 3 * PAGE), private = mapped(of_all, 3, PROT_READ | PROT_WRITE, MAP_PRIVATE), strcpy(private + PAGE, "another");
		}
	}
	// one after the other, the parent last: from the second round on each sees what it saw before
	for (int number;;) {
		char go = 0;
		if (who == 0) {
			for (int i = 0; i < 2; i++) require(write(turns[i][1], "g", 1) == 1, "write"), usleep(100000);
			say(0);
			sigwait(&told, &number);
		} else {
			require(read(turns[who - 1][0], &go, 1) == 1, "read");
			say(who);
		}
	}
}
