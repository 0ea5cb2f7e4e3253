/*
 * Memory that several names and mappings show, and descriptors in odd states: SIGUSR1 has each looked over, `N right`, or what is not; they
 * are put back as they were.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>
static char wrong[1000];
static void check(int holds, const char *what) { if (!holds && strlen(wrong) < 900) { strcat(wrong, " "); strcat(wrong, what); } }
int main(int argc, char **argv) {
	int rw = PROT_READ | PROT_WRITE; char text[64]; uint64_t value;
	sigset_t usr1, queued; sigemptyset(&usr1); sigaddset(&usr1, SIGUSR1); queued = usr1; sigaddset(&queued, SIGRTMIN + 2); sigaddset(&queued, SIGUSR2); sigprocmask(SIG_BLOCK, &queued, 0);
	/* a memfd: two mappings and two descriptions of it, one for reading only, a private copy of a page, a hole, seals */
	int memfd = memfd_create("much shared", MFD_ALLOW_SEALING | MFD_CLOEXEC); ftruncate(memfd, 10 * 4096 + 100); pwrite(memfd, "first", 5, 0); pwrite(memfd, "last", 4, 10 * 4096 + 96); lseek(memfd, 77, SEEK_SET);
	sprintf(text, "/proc/self/fd/%d", memfd); int reader = open(text, O_RDONLY);
	char *one = mmap(0, 11 * 4096, rw, MAP_SHARED, memfd, 0), *other = mmap(0, 4 * 4096, rw, MAP_SHARED, memfd, 4 * 4096), *copy = mmap(0, 2 * 4096, rw, MAP_PRIVATE, memfd, 0); copy[0] = 'F';
	strcpy(one + 5 * 4096, "through one"); fcntl(memfd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW);
	/* sealed against writing, and without a mapping */
	int stone = memfd_create("stone", MFD_ALLOW_SEALING); write(stone, "graven", 6); fcntl(stone, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
	/* mapped, and open no more */
	int closed = memfd_create("closed", 0); ftruncate(closed, 8192); char *kept = mmap(0, 8192, rw, MAP_SHARED, closed, 0); strcpy(kept + 4096, "kept"); close(closed);
	/* anonymous memory in two places: what an mremap of nothing does; one of them for reading only, and of a part */
	char *shared = mmap(0, 16 * 4096, rw, MAP_SHARED | MAP_ANONYMOUS, -1, 0), *twin = mremap(shared, 0, 16 * 4096, MREMAP_MAYMOVE), *part = mremap(shared + 8 * 4096, 0, 4 * 4096, MREMAP_MAYMOVE);
	mprotect(part, 4 * 4096, PROT_READ); strcpy(shared + 9 * 4096, "anonymous");
	/* a pipe with both ends twice, another that is full, a third with packets and without a writer */
	int plain[2], full[2], packets[2]; pipe(plain); write(plain[1], "in the pipe", 11); int again = dup(plain[0]); fcntl(again, F_SETFD, FD_CLOEXEC);
	pipe2(full, O_NONBLOCK); char block[4096]; memset(block, 'x', 4096); long fits = 0; while (write(full[1], block, 4096) > 0) fits++;
	pipe(packets); write(packets[1], "no writer", 9); close(packets[1]);
	int counter = eventfd(0xfffffffffffffff0 & 0x7fffffff, EFD_NONBLOCK), second = eventfd(3, EFD_NONBLOCK);
	/* an epoll in an epoll, an edge that was seen, one shot that was fired */
	int inner = epoll_create1(0), outer = epoll_create1(EPOLL_CLOEXEC), quiet = eventfd(0, EFD_NONBLOCK); struct epoll_event event = {EPOLLIN, {.u64 = 0x1111111122222222}}, got[8];
	epoll_ctl(inner, EPOLL_CTL_ADD, second, &event); event.data.u64 = 0x33; epoll_ctl(outer, EPOLL_CTL_ADD, inner, &event);
	event = (struct epoll_event){EPOLLIN | EPOLLONESHOT, {.u64 = 0x44}}; epoll_ctl(outer, EPOLL_CTL_ADD, counter, &event);
	event = (struct epoll_event){EPOLLIN | EPOLLET, {.u64 = 0x55}}; epoll_ctl(outer, EPOLL_CTL_ADD, quiet, &event);
	for (int i = 0; i < 2; i++) epoll_wait(outer, got, 8, 0);
	int signals = signalfd(-1, &queued, SFD_NONBLOCK | SFD_CLOEXEC); for (int i = 1; i <= 3; i++) sigqueue(getpid(), SIGRTMIN + 2, (union sigval){.sival_int = i * 11}); kill(getpid(), SIGUSR2);
	/* timers: one that ran out unread, one far off, one at a time of day */
	int over = timerfd_create(CLOCK_BOOTTIME, TFD_NONBLOCK), far = timerfd_create(CLOCK_MONOTONIC, 0), day = timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK), idle = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
	struct itimerspec when = {{0}, {0, 1}}; timerfd_settime(over, 0, &when, 0); poll(&(struct pollfd){over, POLLIN}, 1, -1);
	when = (struct itimerspec){{7, 5}, {5000, 0}}; timerfd_settime(far, 0, &when, 0);
	struct timespec now; clock_gettime(CLOCK_REALTIME, &now); when = (struct itimerspec){{0}, {now.tv_sec + 9000, 0}}; timerfd_settime(day, TFD_TIMER_ABSTIME, &when, 0);
#ifdef GHOSTS
	sprintf(wrong, "%s/ghost", argv[1]); int ghost = open(wrong, O_RDWR | O_CREAT | O_EXCL, 0640), shade = dup(ghost), other_ghost = open(wrong, O_RDONLY); write(ghost, "a ghost", 7); ftruncate(ghost, 3 * 4096); pwrite(ghost, "deep", 4, 2 * 4096);
	lseek(ghost, 2, SEEK_SET); char *haunted = mmap(0, 3 * 4096, rw, MAP_SHARED, ghost, 0); unlink(wrong);
#endif
	wrong[0] = 0;
	puts("ready"); fflush(stdout);
	int number; for (int n = 0; !sigwait(&usr1, &number); n++) {
		struct stat st; struct signalfd_siginfo info; struct itimerspec left; wrong[0] = 0;
		fstat(memfd, &st); check(st.st_size == 10 * 4096 + 100, "memfd's size"); check(lseek(memfd, 0, SEEK_CUR) == 77 && lseek(reader, 0, SEEK_CUR) == 0, "memfd's offsets");
		check(!memcmp(one, "first", 5) && !memcmp(one + 10 * 4096 + 96, "last", 4) && !strcmp(other + 4096, "through one"), "memfd's content");
		one[7 * 4096]++; check(other[3 * 4096] == one[7 * 4096] && pread(reader, text, 1, 7 * 4096) == 1 && text[0] == one[7 * 4096], "memfd in all its places");
		check(copy[0] == 'F' && one[0] == 'f' && copy[1] == 'i', "private copy of memfd"); one[4096] = n + 1; check(copy[4096] == n + 1, "private mapping of memfd follows");
		check(fcntl(memfd, F_GET_SEALS) == (F_SEAL_SHRINK | F_SEAL_GROW) && ftruncate(memfd, 1) == -1 && fcntl(memfd, F_GETFD) == FD_CLOEXEC, "seals"); check(write(reader, "x", 1) == -1 && errno == EBADF, "memfd for reading");
		check(pread(stone, text, 6, 0) == 6 && !memcmp(text, "graven", 6) && pwrite(stone, "x", 1, 0) == -1 && fcntl(stone, F_GET_SEALS) == 15 && lseek(stone, 0, SEEK_CUR) == 6, "sealed memfd"); check(!strcmp(kept + 4096, "kept"), "closed memfd");
		check(!strcmp(shared + 9 * 4096, "anonymous") && !strcmp(twin + 9 * 4096, "anonymous") && !strcmp(part + 4096, "anonymous"), "shared memory"); twin[10 * 4096] = n + 65; check(shared[10 * 4096] == n + 65 && part[2 * 4096] == n + 65, "shared memory in all its places");
		check(read(again, text, 64) == 11 && !memcmp(text, "in the pipe", 11), "pipe"); write(plain[1], "in the pipe", 11); check(fcntl(again, F_GETFD) == FD_CLOEXEC && fcntl(plain[0], F_GETFD) == 0, "descriptors' flags");
		check(write(full[1], "x", 1) == -1 && errno == EAGAIN && ioctl(full[0], FIONREAD, &number) == 0 && number == fits * 4096, "full pipe");
		if (n == 0) check(read(packets[0], text, 64) == 9, "pipe without writer"); check(read(packets[0], text, 64) == 0, "end of a pipe");
		check(read(counter, &value, 8) == 8 && value == 0x7ffffff0, "eventfd"); write(counter, &value, 8); check(read(second, &value, 8) == 8 && value == 3, "second eventfd"); write(second, &value, 8);
		int ready = epoll_wait(outer, got, 8, 0); check(ready == 1 && got[0].data.u64 == 0x33, "outer epoll"); check(epoll_wait(inner, got, 8, 0) == 1 && got[0].data.u64 == 0x1111111122222222, "inner epoll");
		value = 1; write(quiet, &value, 8); ready = epoll_wait(outer, got, 8, 0); check(ready == 2 && (got[0].data.u64 | got[1].data.u64) == (0x33 | 0x55), "edge"); ready = epoll_wait(outer, got, 8, 0); check(ready == 1, "edge but once"); read(quiet, &value, 8);
		check(read(signals, &info, sizeof info) == sizeof info && info.ssi_signo == SIGUSR2, "signal");
		for (int i = 1; i <= 3; i++) check(read(signals, &info, sizeof info) == sizeof info && info.ssi_signo == SIGRTMIN + 2 && info.ssi_int == i * 11 && info.ssi_code == SI_QUEUE, "queued signals"); for (int i = 1; i <= 3; i++) sigqueue(getpid(), SIGRTMIN + 2, (union sigval){.sival_int = i * 11}); kill(getpid(), SIGUSR2);
		check(read(signals, &info, sizeof info) == sizeof info, "signals again"); kill(getpid(), SIGUSR2);
		check(n ? read(over, &value, 8) == -1 : read(over, &value, 8) == 8 && value == 1, "expired timer"); timerfd_gettime(far, &left); check(left.it_value.tv_sec < 5000 && left.it_value.tv_sec > 4000 && left.it_interval.tv_sec == 7 && left.it_interval.tv_nsec == 5, "far timer");
		/* it waits for what was left: later by the time that nobody lived */ timerfd_gettime(day, &left); check(left.it_value.tv_sec > 8000 && left.it_value.tv_sec <= 9000 && left.it_interval.tv_sec == 0, "timer of the day"); timerfd_gettime(idle, &left); check(!left.it_value.tv_sec && !left.it_value.tv_nsec, "idle timer");
#ifdef GHOSTS
		check(lseek(shade, 0, SEEK_CUR) == 2 && lseek(other_ghost, 0, SEEK_CUR) == 0, "ghost's offsets"); fstat(ghost, &st); check(st.st_nlink == 0 && st.st_size == 3 * 4096 && (st.st_mode & 07777) == 0640, "ghost's looks");
		check(pread(other_ghost, text, 7, 0) == 7 && !memcmp(text, "a ghost", 7) && !memcmp(haunted + 2 * 4096, "deep", 4), "ghost's content"); haunted[4096]++; check(pread(ghost, text, 1, 4096) == 1 && text[0] == haunted[4096], "ghost's mapping");
#endif
		printf("%d%s\n", n, wrong[0] ? wrong : " right"); fflush(stdout);
	}
}
