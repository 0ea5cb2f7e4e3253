// own-file DIRECTORY: writes what it counts to DIRECTORY/count.PID, which it removes when it is told to end, and a line of
// DIRECTORY/log each time that says how many bytes went there.
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

static char path[200];

static void end(int signal) {
	unlink(path);
	_exit(0);
}

int main(int count, char **words) {
	snprintf(path, sizeof path, "%s/log", words[1]);
	int log = open(path, O_WRONLY | O_CREAT | O_APPEND, 0644);
	snprintf(path, sizeof path, "%s/count.%d", words[1], getpid());
	int own = open(path, O_RDWR | O_CREAT | O_TRUNC, 0644);
	signal(SIGTERM, end);
	for (int n = 1;; n++) {
		char line[40];
		int length = snprintf(line, sizeof line, "%06d\n", n);
		dprintf(log, "tick %d %zd\n", n, pwrite(own, line, length, 0));
		usleep(20000);
	}
}
