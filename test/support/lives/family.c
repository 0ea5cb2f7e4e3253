/*
 * A tree: family DIR. A worker in a group of its own that writes to a file which all have open, a leader of a session with a child,
 * one that has stopped, one with its parent's descriptor table, two that have ended. All count in memory that they share. Asked by
 * SIGUSR1, the root says what is not right. Beside them, by argv[2], a child that has its parent's memory (vm) or is traced by it
 * (traced); or nothing but children that come and go (bustle).
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

enum { WORKER, LEADER, MEMBER, STOPPED, COMRADE, KINDS };
static volatile struct { int pid, parent, counts; } *all;
static volatile int *asks;
static char stack[KINDS][65536];

static int count(int kind)
{
	for (;; usleep(5000)) {
		all[kind].parent = getppid();
		all[kind].counts++;
		if (kind == WORKER)
			write(3, "w", 1);
		if (kind == COMRADE && *asks > 0)
			dup2(3, 100 + *asks), *asks = 0;
	}
}

static int comrade(void *none)
{
	all[COMRADE].pid = getpid();
	return count(COMRADE);
}

static int idle(void *none)
{
	for (;;)
		pause();
}

static void begin(int kind)
{
	int pid = fork();
	if (pid > 0)
		return;
	all[kind].pid = getpid();
	if (kind == WORKER)
		setpgid(0, 0);
	if (kind == LEADER) {
		setsid();
		begin(MEMBER);
	}
	if (kind == STOPPED)
		raise(SIGSTOP);
	exit(count(kind));
}

static int ended(int status)
{
	int pid = fork();
	if (pid == 0) {
		if (status < 0)
			kill(getpid(), -status);
		_exit(status);
	}
	siginfo_t info;
	waitid(P_PID, pid, &info, WEXITED | WNOWAIT);
	return pid;
}

static void end(int pid, int code, int status, int question)
{
	siginfo_t info = {0};
	if (waitid(P_PID, pid, &info, WEXITED | WNOWAIT | WNOHANG) || info.si_pid != pid || info.si_code != code || info.si_status != status)
		printf("%d: %d ended by %d of %d, not by %d of %d; ", question, info.si_pid, info.si_status, info.si_code, status, code);
}

static void bustle(void)
{
	for (int living = 0;; living++) {
		while (living > 20 || (living > 0 && waitpid(-1, 0, WNOHANG) > 0)) {
			if (living > 20)
				wait(0);
			living--;
		}
		if (fork() == 0) {
			if (fork() == 0) {
				usleep(3000);
				_exit(0);
			}
			usleep(2000);
			wait(0);
			_exit(0);
		}
		usleep(100);
	}
}

int main(int argc, char **argv)
{
	sigset_t usr1;
	int ends[2], left, sign;
	sigemptyset(&usr1);
	sigaddset(&usr1, SIGUSR1);
	sigprocmask(SIG_BLOCK, &usr1, 0);
	if (argc < 2 || chdir(argv[1]) || open("log-of-all", O_RDWR | O_CREAT | O_TRUNC, 0600) != 3 || pipe(ends))
		return 1;
	write(ends[1], "left", 4);
	all = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	asks = (int *)(all + KINDS);
	if (argc > 2 && !strcmp(argv[2], "vm"))
		clone(idle, stack[0] + sizeof stack[0], CLONE_VM | SIGCHLD, 0);
	if (argc > 2 && !strcmp(argv[2], "traced")) {
		int pid = fork();
		if (pid == 0) {
			ptrace(PTRACE_TRACEME, 0, 0, 0);
			raise(SIGSTOP);
		}
		waitpid(pid, 0, 0);
	}
	puts("ready");
	fflush(stdout);
	if (argc > 2 && !strcmp(argv[2], "bustle"))
		bustle();
	begin(WORKER);
	begin(LEADER);
	begin(STOPPED);
	clone(comrade, stack[COMRADE] + sizeof stack[COMRADE], CLONE_FILES | SIGCHLD, 0);
	int exited = ended(200), killed = ended(-SIGKILL);
	for (int question = 0; !sigwait(&usr1, &sign); question++) {
		int before[KINDS], from = lseek(3, 0, SEEK_CUR);
		for (int i = 0; i < KINDS; i++)
			before[i] = all[i].counts;
		*asks = question + 1;
		usleep(200000);
		for (int i = 0; i < KINDS; i++) {
			if ((all[i].counts > before[i]) != (i != STOPPED))
				printf("%d: %d counts %d after %d; ", question, i, all[i].counts, before[i]);
			if (i != STOPPED && all[i].parent != (i == MEMBER ? all[LEADER].pid : getpid()))
				printf("%d: %d is a child of %d; ", question, i, all[i].parent);
			int session = i == LEADER || i == MEMBER ? all[LEADER].pid : getpid();
			if (getsid(all[i].pid) != session || getpgid(all[i].pid) != (i == WORKER ? all[i].pid : session))
				printf("%d: %d is in session %d, group %d; ", question, i, getsid(all[i].pid), getpgid(all[i].pid));
		}
		if (lseek(3, 0, SEEK_CUR) <= from)
			printf("%d: the file that all have open stays at %d; ", question, from);
		if (fcntl(101 + question, F_GETFD) < 0)
			printf("%d: the comrade's descriptor is not ours; ", question);
		if (ioctl(ends[0], FIONREAD, &left) || left != 4)
			printf("%d: %d wait in the pipe; ", question, left);
		end(exited, CLD_EXITED, 200, question);
		end(killed, CLD_KILLED, SIGKILL, question);
		printf("%d right\n", question);
		fflush(stdout);
	}
}
