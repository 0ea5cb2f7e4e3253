/* A user's process in a root directory of its own: jailed ROOT DIR UID. It has DIR open as 3, and executes DIR/tool when asked. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

static volatile sig_atomic_t asked;

static void ask(int signal)
{
	asked = signal;
}

int main(int argc, char **argv)
{
	if (argc < 4 || open(argv[2], O_RDONLY | O_DIRECTORY) != 3 || chdir("/") || chroot(argv[1]))
		return 1;
	int id = atoi(argv[3]);
	char *none[] = {"tool", 0};

	if (setgroups(0, 0) || setresgid(id, id, id) || setresuid(id, id, id))
		return 1;
	signal(SIGUSR1, ask);
	while (!asked)
		pause();
	syscall(SYS_execveat, 3, "tool", none, none + 1, 0);
	return 1;
}
