// deaths HOW [PATH]: dies the way it is told to. What it knows lies in `total` and on the heap, at `kept`.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <unistd.h>

volatile long total = 4711;
long *kept;
char *shown;
// a stack for who has none any more
char spare[65536];
static const char *path;

static int down(int n) {
	volatile char room[4096];
	room[0] = (char)n;
	return down(n + 1) + room[0];
}

static void *overflow(void *unused) {
	return (void *)(long)down(0);
}

// the leader waits meanwhile
static void in_thread(void *(*body)(void *)) {
	pthread_t thread;
	pthread_attr_t attr;
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 256 * 1024);
	pthread_create(&thread, &attr, body, 0);
	pthread_join(thread, 0);
}

static pthread_t first;

static void *outlive(void *unused) {
	pthread_join(first, 0);
	total++;
	raise(SIGQUIT);
	for (;;) {
		total++;
		usleep(10000);
	}
}

static void shout(int signal) {
	struct sigaction fresh = { .sa_handler = SIG_DFL };
	sigaction(signal, &fresh, 0);
	raise(signal);
}

static void with_handler(void) {
	stack_t stack = { .ss_sp = malloc(65536), .ss_size = 65536 };
	sigaltstack(&stack, 0);
	struct sigaction action = { .sa_handler = shout, .sa_flags = SA_ONSTACK | SA_NODEFER };
	sigaddset(&action.sa_mask, SIGUSR1);
	sigaction(SIGSEGV, &action, 0);
	// what the thread had in its registers when it failed
	__asm__ volatile("movq $0x1122334455667788, %%r12\n\tmovq %%r12, %%xmm7\n\tmovq $0xdead0000, %%rbx\n\t"
			 ".globl faulting\nfaulting:\n\tmovl $1, (%%rbx)"
			 ::: "r12", "rbx", "xmm7", "memory");
}

static void come_back(int signal, siginfo_t *why, void *context) {}

// tells by a second handler, as Go does
static void shout_twice(int signal, siginfo_t *why, void *context) {
	raise(SIGABRT);
}

static void handle(int signal, void (*handler)(int, siginfo_t *, void *), int flags) {
	struct sigaction action = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO | flags };
	sigaction(signal, &action, 0);
}

enum { PART = 65536 };
// two threads' stacks with their signal stacks, side by side, as Go has them
static char *arena;
static volatile int ready;

static void *bystander(void *unused) {
	sigaltstack(&(stack_t){ .ss_sp = arena + 3 * PART, .ss_size = PART }, 0);
	handle(SIGQUIT, come_back, SA_ONSTACK);
	raise(SIGQUIT);
	ready = 1;
	for (;;) pause();
}

static void *panicking(void *unused) {
	sigaltstack(&(stack_t){ .ss_sp = arena + PART, .ss_size = PART }, 0);
	handle(SIGSEGV, shout_twice, SA_ONSTACK);
	struct sigaction last = { .sa_handler = shout, .sa_flags = SA_ONSTACK | SA_NODEFER };
	sigaction(SIGABRT, &last, 0);
	*(volatile int *)0xdead0000 = 1;
	return 0;
}

static void side_by_side(void) {
	arena = mmap(0, 4 * PART, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	pthread_t threads[2];
	pthread_attr_t attr;
	pthread_attr_init(&attr);
	pthread_attr_setstack(&attr, arena + 2 * PART, PART);
	pthread_create(&threads[0], &attr, bystander, 0);
	while (!ready) usleep(1000);
	pthread_attr_setstack(&attr, arena, PART);
	pthread_create(&threads[1], &attr, panicking, 0);
	for (;;) pause();
}

static void shout_informed(int number, siginfo_t *why, void *context) {
	signal(number, SIG_DFL);
	raise(number);
}

static void give_up(int number, siginfo_t *why, void *context) { abort(); }

// as redis: a loop that ends where epoll fails
static void loop(void (*handler)(int, siginfo_t *, void *)) {
	int epoll = epoll_create1(0);
	handle(SIGSEGV, handler, 0);
	pid_t own = getpid();
	if (fork() == 0) {
		usleep(50000);
		kill(own, SIGSEGV);
		_exit(0);
	}
	struct epoll_event event;
	for (int wait = -1;; wait = 10) {
		if (epoll_wait(epoll, &event, 1, wait) < 0 && errno != EINTR) _exit(3);
		total++;
	}
}

enum { GUARD_INSTALL = 102 };

// a stack whose guard is one as glibc 2.42 makes it: a mark within memory that can be written
static void *guarded(void *unused) {
	unsigned long start, end, at = (unsigned long)&start, below = 0;
	char line[512], prot[8];
	FILE *maps = fopen("/proc/self/maps", "r");
	while (fgets(line, sizeof line, maps) && sscanf(line, "%lx-%lx %4s", &start, &end, prot) == 3) {
		if (start <= at && at < end) break;
		below = strcmp(prot, "---p") ? 0 : start;
	}
	fclose(maps);
	if (below && !mprotect((char *)below, 4096, PROT_READ | PROT_WRITE) && !madvise((char *)below, 4096, GUARD_INSTALL))
		shown = (char *)below;
	raise(SIGQUIT);
	for (;;) pause();
}

static void map_beyond(void) {
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
	for (int i = 0; i < 5000; i++) write(fd, "x", 1);
	shown = mmap(0, 5 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	close(fd);
	shown[1] = 'y';
	shown[5001] = 'z';
	raise(SIGQUIT);
	total = shown[0] == 'x' && shown[1] == 'y' && shown[5001] == 'z' ? 1 : 2;
	volatile char read = shown[4 * 4096];
	(void)read;
}

static void share(void) {
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
	ftruncate(fd, 8 * 4096);
	shown = mmap(0, 8 * 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	memset(shown, 's', 4096);
	raise(SIGQUIT);
	for (;;) {
		total++;
		usleep(10000);
	}
}

// much memory that was never touched, and a file over which zeros were written
static void spread(void) {
	char *all = mmap(0, 256 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	for (long at = 0; at < 256 << 20; at += 32 << 20) all[at] = 'a';
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
	for (int i = 0; i < 64 * 4096; i++) write(fd, "f", 1);
	shown = mmap(0, 64 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	close(fd);
	memset(shown, 0, 32 * 4096);
	raise(SIGQUIT);
}

static int log_at;

static void say(int signal) {
	dprintf(log_at, "says %d\n", getpid());
}

// with a log that it writes at its end, its own status, and its thread's name, all open
static void serve(void) {
	log_at = open(path, O_WRONLY);
	lseek(log_at, 0, SEEK_END);
	open("/proc/self/status", O_RDONLY);
	open("/proc/thread-self/comm", O_RDONLY);
	signal(SIGUSR1, say);
	write(log_at, "open\n", 5);
	for (;;) pause();
}

int main(int count, char **args) {
	const char *how = args[1];
	path = args[2];
	kept = malloc(1000 * sizeof *kept);
	for (int i = 0; i < 1000; i++) kept[i] = i;
	first = pthread_self();
	if (!strcmp(how, "overflow")) return down(0);
	if (!strcmp(how, "thread-overflow")) in_thread(overflow);
	if (!strcmp(how, "low-sp")) __asm__ volatile("movq $0x1230, %rsp\n\tpushq %rax");
	if (!strcmp(how, "wild-sp")) __asm__ volatile("movq $0x4141414141414140, %rsp\n\tpushq %rax");
	if (!strcmp(how, "kernel-sp")) __asm__ volatile("movq $-4096, %rsp\n\tpushq %rax");
	if (!strcmp(how, "wild-ip")) __asm__ volatile("movq $0x4141414141414141, %rax\n\tpushq %rax\n\tret");
	if (!strcmp(how, "kernel-ip")) __asm__ volatile("movq $-4096, %rax\n\tjmp *%rax");
	if (!strcmp(how, "leaderless")) {
		pthread_t thread;
		pthread_create(&thread, 0, outlive, 0);
		pthread_exit(0);
	}
	if (!strcmp(how, "handler")) with_handler();
	if (!strcmp(how, "side-by-side")) side_by_side();
	if (!strcmp(how, "loop")) loop(shout_informed);
	if (!strcmp(how, "loop-aborts")) loop(give_up);
	if (!strcmp(how, "guarded")) in_thread(guarded);
	if (!strcmp(how, "beyond")) map_beyond();
	if (!strcmp(how, "shared")) share();
	if (!strcmp(how, "spread")) spread();
	if (!strcmp(how, "donor")) serve();
	if (!strcmp(how, "donor-dead")) {
		log_at = 3;
		raise(SIGQUIT);
		for (;;) pause();
	}
	if (!strcmp(how, "again")) {
		raise(SIGQUIT);
		abort();
	}
	// the program itself is not there any more
	if (!strcmp(how, "deleted")) {
		char own[PATH_MAX] = "";
		readlink("/proc/self/exe", own, sizeof own - 1);
		unlink(own);
		how = "count";
	}
	if (!strcmp(how, "dontdump")) {
		shown = mmap(0, 16 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		memset(shown, 'h', 16 * 4096);
		madvise(shown, 16 * 4096, MADV_DONTDUMP);
		how = "count";
	}
	if (!strcmp(how, "count")) {
		raise(SIGQUIT);
		for (;;) {
			total++;
			usleep(10000);
		}
	}
	return 1;
}
