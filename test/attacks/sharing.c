/*
 * sharing DIR: has the file DIR/nameless without its name, 3, and a child with the same table of descriptors. When the child is
 * dumped, the parent puts a FIFO there.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

static char stack[65536];

static void put(int signal)
{
	(void)signal;
	dup2(4, 3);
}

static int comrade(void *none)
{
	(void)none;
	if (chdir("/tmp"))
		return 1;
	for (;;)
		pause();
}

int main(int argc, char **argv)
{
	signal(SIGUSR1, put);
	if (argc < 2 || chdir(argv[1]) || open("nameless", O_RDWR | O_CREAT, 0600) != 3 || unlink("nameless"))
		return 1;
	if (mkfifo("fifo", 0600) || open("fifo", O_PATH) != 4 || clone(comrade, stack + sizeof stack, CLONE_FILES | SIGCHLD, 0) < 0)
		return 1;
	for (;;)
		pause();
}
