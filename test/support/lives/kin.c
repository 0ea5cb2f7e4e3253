/*
 * A process and its family: zombies, a stopped child, orphans of sessions whose leaders are gone, dead, or alive, groups without
 * leaders, siblings that share a descriptor table, and another user's process. All wait for SIGUSR1; then the first one says in the
 * file "heard" how its zombies ended and how often it was told of an end, and the others' files say who they are and what they read.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile sig_atomic_t told, asked;

static void on_end(int signal)
{
	(void)signal;
	told++;
}

static void on_word(int signal)
{
	(void)signal;
	asked++;
}

/* Until it is asked; then what it reads from a descriptor, as whom. */
static void stay(const char *name, int fd)
{
	char text[64] = "";
	FILE *file;

	while (!asked)
		pause();
	pread(fd, text, sizeof text - 1, 0);
	file = fopen(name, "w");
	fprintf(file, "%d %s", (int)getuid(), text);
	fclose(file);
	for (;;)
		pause();
}

static void sleep_on(void)
{
	for (;;)
		pause();
}

int main(void)
{
	struct sigaction end = { .sa_handler = on_end, .sa_flags = SA_NOCLDSTOP };
	struct sigaction word = { .sa_handler = on_word };
	struct rlimit none = { 0, 0 };
	int returned, killed, first, led, status, private;
	FILE *heard;

	setrlimit(RLIMIT_CORE, &none);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	sigaction(SIGUSR1, &word, 0);
	private = open("private", O_RDWR | O_CREAT | O_TRUNC, 0600);
	write(private, "his\n", 4);
	fchown(private, 65534, 65534);
	close(private);

	if (!(returned = fork()))
		_exit(200);
	if (!(killed = fork())) {
		signal(SIGUSR1, SIG_DFL);
		raise(SIGUSR1);
	}
	/* an orphan in a session whose leader is gone */
	if (!(first = fork())) {
		setsid();
		if (!fork())
			sleep_on();
		_exit(0);
	}
	waitpid(first, 0, 0);
	/* one whose session is led by its brother now */
	if (!fork()) {
		setsid();
		if (!(first = fork())) {
			if (!fork())
				sleep_on();
			_exit(0);
		}
		waitpid(first, 0, 0);
		sleep_on();
	}
	/* a group whose leader is gone, and one whose leader is dead */
	for (int reaped = 1; reaped >= 0; reaped--) {
		if (!(led = fork()))
			sleep_on();
		setpgid(led, led);
		if (!(first = fork()))
			sleep_on();
		setpgid(first, led);
		kill(led, SIGKILL);
		if (reaped)
			waitpid(led, 0, 0);
	}
	if (!(first = fork()))
		sleep_on();
	kill(first, SIGSTOP);
	waitpid(first, 0, WUNTRACED);
	/* two with one table that their parent has not */
	if (!fork()) {
		if (!syscall(SYS_clone, CLONE_FILES | CLONE_PARENT, 0, 0, 0, 0))
			sleep_on();
		open("/dev/null", O_RDONLY);
		sleep_on();
	}
	if (!fork()) {
		setresgid(65534, 65534, 65534);
		setresuid(65534, 65534, 65534);
		stay("his", open("private", O_RDONLY));
	}
	usleep(200000);
	sigaction(SIGCHLD, &end, 0);
	fclose(fopen("ready", "w"));
	while (!asked)
		pause();
	heard = fopen("heard", "w");
	waitpid(returned, &status, 0);
	fprintf(heard, "%d ", status);
	waitpid(killed, &status, 0);
	fprintf(heard, "%d told %d\n", status, (int)told);
	fclose(heard);
	sleep_on();
}
