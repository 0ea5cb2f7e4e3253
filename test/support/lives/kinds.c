/* Has one of each kind open and running, and says each round whether each is still as it was: `N right`, or what is not. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>
static volatile sig_atomic_t alarms, posix, on_stack, right_cookie;
static char stack[65536];
static void on_alarm(int s) { char c; alarms++; on_stack = &c >= stack && &c < stack + sizeof stack; }
static void on_posix(int s, siginfo_t *i, void *u) { posix++; right_cookie = i->si_value.sival_ptr == (void *)&posix; }
static char wrong[1000];
static void check(int holds, const char *what) { if (!holds) { strcat(wrong, " "); strcat(wrong, what); } }
int main(int argc, char **argv) {
	char path[300], text[64]; static unsigned char big[150000], back[150000];
	for (int i = 0; i < 150000; i++) big[i] = i % 251;
	int small[2], large[2]; pipe(small); write(small[1], "hello pipe", 10);
	pipe2(large, O_NONBLOCK | O_CLOEXEC); fcntl(large[1], F_SETPIPE_SZ, 1 << 18); write(large[1], big, sizeof big);
	int event = eventfd(41, EFD_NONBLOCK), twin = dup(event), poll = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event ev = {EPOLLIN, {.u64 = 0xabcdef0123456789}}, got[4];
	epoll_ctl(poll, EPOLL_CTL_ADD, event, &ev); ev.data.u64 = 7; epoll_ctl(poll, EPOLL_CTL_ADD, small[0], &ev);
	struct itimerspec every = {{0, 50000000}, {0, 50000000}};
	int timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK); timerfd_settime(timer, 0, &every, 0);
	sigset_t blocked; sigemptyset(&blocked); sigaddset(&blocked, SIGUSR2); sigprocmask(SIG_BLOCK, &blocked, 0);
	int signals = signalfd(-1, &blocked, SFD_NONBLOCK); kill(getpid(), SIGUSR2);
	char *shared = mmap(0, 1 << 20, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0); strcpy(shared + 300000, "shared");
	char *hidden = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0); strcpy(hidden, "hidden"); mprotect(hidden, 8192, PROT_NONE);
	snprintf(path, 300, "%s/file", argv[1]); int file = open(path, O_RDWR | O_CREAT | O_TRUNC, 0640), same = dup(file), other = open(path, O_RDONLY);
	ftruncate(file, 8192); write(file, "0123456789", 10); lseek(file, 4, SEEK_SET);
	char *mapped = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0), *own = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE, file, 0); own[4096] = 'p';
	snprintf(path, 300, "%s/fifo", argv[1]); mkfifo(path, 0600); int fifo = open(path, O_RDWR | O_NONBLOCK); write(fifo, "in fifo", 7);
	snprintf(path, 300, "%s/gone", argv[1]); int gone = open(path, O_RDWR | O_CREAT | O_TRUNC, 0604); write(gone, "without a name", 14); unlink(path);
	char *orphan = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, gone, 0);
	int memfd = memfd_create("a memfd", MFD_ALLOW_SEALING); ftruncate(memfd, 5 * 4096); pwrite(memfd, "memfd", 5, 3 * 4096);
	char *view = mmap(0, 5 * 4096, PROT_READ | PROT_WRITE, MAP_SHARED, memfd, 0); fcntl(memfd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW);
	int directory = open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	stack_t st = {.ss_sp = stack, .ss_size = sizeof stack}; sigaltstack(&st, 0);
	sigaction(SIGALRM, &(struct sigaction){.sa_handler = on_alarm, .sa_flags = SA_ONSTACK | SA_RESTART}, 0);
	setitimer(ITIMER_REAL, &(struct itimerval){{0, 40000}, {0, 40000}}, 0);
	sigaction(SIGRTMIN + 3, &(struct sigaction){.sa_sigaction = on_posix, .sa_flags = SA_SIGINFO | SA_RESTART}, 0);
	timer_t t; struct sigevent se = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN + 3, .sigev_value.sival_ptr = (void *)&posix};
	timer_create(CLOCK_MONOTONIC, &se, &t); timer_settime(t, 0, &every, 0);
	fcntl(small[0], F_SETOWN, getpid()); fcntl(small[0], F_SETSIG, SIGUSR1); umask(027);
	for (int n = 0;; n++) {
		struct timespec left = {0, 120000000}; while (clock_nanosleep(CLOCK_MONOTONIC, 0, &left, &left) == EINTR);
		unsigned long long value = 0; struct signalfd_siginfo info; memset(text, 0, 64); wrong[0] = 0;
		check(epoll_wait(poll, got, 4, 0) == 2 && got[0].data.u64 + got[1].data.u64 == 0xabcdef0123456789 + 7, "epoll");
		check(read(small[0], text, 64) == 10 && !strcmp(text, "hello pipe"), "pipe"); write(small[1], "hello pipe", 10);
		check(read(large[0], back, sizeof back) == sizeof back && !memcmp(big, back, sizeof big), "large pipe"); write(large[1], big, sizeof big);
		check(fcntl(large[1], F_GETPIPE_SZ) == 1 << 18 && fcntl(large[0], F_GETFD) == FD_CLOEXEC, "pipe's size or flags");
		check(read(twin, &value, 8) == 8 && value == 41, "eventfd"); write(event, &value, 8);
		check(read(timer, &value, 8) == 8 && value > 0, "timerfd");
		check(read(signals, &info, sizeof info) == sizeof info && info.ssi_signo == SIGUSR2, "signalfd"); kill(getpid(), SIGUSR2);
		check(!strcmp(shared + 300000, "shared"), "shared memory");
		mprotect(hidden, 8192, PROT_READ); check(!strcmp(hidden, "hidden"), "memory without protection"); mprotect(hidden, 8192, PROT_NONE);
		check(lseek(file, 0, SEEK_CUR) == 4 && lseek(same, 0, SEEK_CUR) == 4 && lseek(other, 0, SEEK_CUR) == 0, "offsets");
		lseek(same, 5, SEEK_SET); check(lseek(file, 0, SEEK_CUR) == 5, "shared offset"); lseek(same, 4, SEEK_SET);
		mapped[9]++; char byte = 0; pread(file, &byte, 1, 9); check(byte == mapped[9] && own[4096] == 'p' && mapped[4096] == 0, "file mappings");
		check(read(fifo, text, 64) == 7 && !memcmp(text, "in fifo", 7), "fifo"); write(fifo, "in fifo", 7);
		struct stat st; check(!fstat(gone, &st) && st.st_nlink == 0 && (st.st_mode & 0777) == 0604 && pread(gone, text, 64, 0) == 14 && !memcmp(text, "without a name", 14), "file without a name");
		orphan[20]++; check(pread(gone, &byte, 1, 20) == 1 ? byte == orphan[20] : n == 0 || orphan[0] == 'w', "its mapping");
		view[9]++; check(pread(memfd, text, 5, 3 * 4096) == 5 && !memcmp(text, "memfd", 5) && pread(memfd, &byte, 1, 9) == 1 && byte == view[9] && fcntl(memfd, F_GET_SEALS) == (F_SEAL_SHRINK | F_SEAL_GROW), "memfd");
		check(fcntl(directory, F_GETFD) == FD_CLOEXEC, "directory");
		check(alarms > 0 && on_stack, "alarm on its stack"); check(posix > 0 && right_cookie, "posix timer"); alarms = posix = 0;
		check(fcntl(small[0], F_GETOWN) == getpid() && fcntl(small[0], F_GETSIG) == SIGUSR1, "owner");
		check(umask(027) == 027, "umask");
		printf("%d%s\n", n, wrong[0] ? wrong : " right"); fflush(stdout);
	}
}
