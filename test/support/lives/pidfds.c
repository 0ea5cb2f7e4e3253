/* pidfds PID: has a pidfd of that. pidfds: has pidfds of itself (two numbers), a child, one that has ended (a zombie) and one that was waited for; says on SIGUSR1 of whom they are. */
#define _GNU_SOURCE
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
static const char *of(int fd, int pid) {
	static char line[256];
	char path[64];
	int found = 0;
	sprintf(path, "/proc/self/fdinfo/%d", fd);
	FILE *info = fopen(path, "r");
	while (fgets(line, sizeof line, info)) sscanf(line, "Pid: %d", &found);
	fclose(info);
	return found == pid ? "right" : "wrong";
}
static int ended(int fd) {
	struct pollfd one = { .fd = fd, .events = POLLIN };
	return poll(&one, 1, 0);
}
int main(int argc, char **argv) {
	sigset_t signals;
	siginfo_t info;
	if (argc > 1) for (printf("ready %d\n", syscall(SYS_pidfd_open, atoi(argv[1]), 0) >= 0), fflush(stdout);;) pause();
	int child = fork();
	if (child == 0) for (;;) pause();
	int zombie = fork();
	if (zombie == 0) _exit(3);
	int gone = fork();
	if (gone == 0) _exit(4);
	int fds[] = { syscall(SYS_pidfd_open, getpid(), 0), syscall(SYS_pidfd_open, child, 0), syscall(SYS_pidfd_open, zombie, 0), syscall(SYS_pidfd_open, gone, 0) };
	int same = dup(fds[0]), pids[] = { getpid(), child, zombie, -1 };
	waitpid(gone, NULL, 0), waitid(P_PID, zombie, &info, WEXITED | WNOWAIT);
	sigemptyset(&signals), sigaddset(&signals, SIGUSR1), sigprocmask(SIG_BLOCK, &signals, NULL);
	printf("ready\n"), fflush(stdout);
	for (;;) {
		if (sigwaitinfo(&signals, &info) < 0) continue;
		for (int i = 0; i < 4; i++) printf("%s %d; ", of(fds[i], pids[i]), ended(fds[i]));
		printf("%s %d\n", of(same, pids[0]), (int)syscall(SYS_pidfd_send_signal, fds[1], SIGKILL, NULL, 0)), fflush(stdout);
	}
}
