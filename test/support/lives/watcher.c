/* watcher PATH…: watches each path, the first but one no longer, and says each event: `WD MASK NAME`. */
#include <stdio.h>
#include <sys/inotify.h>
#include <unistd.h>
int main(int argc, char **argv) {
	_Alignas(8) static char events[4096];
	int fd = inotify_init1(IN_CLOEXEC), went = 0;
	for (int i = 1; i < argc; i++) {
		int wd = inotify_add_watch(fd, argv[i], IN_CREATE | IN_MODIFY | IN_ATTRIB);
		if (i == 2) inotify_rm_watch(fd, went = wd);
	}
	printf("watching without %d\n", went), fflush(stdout);
	for (;;) {
		long n = read(fd, events, sizeof events);
		for (char *at = events; at < events + n;) {
			struct inotify_event *e = (void *)at;
			if (e->wd != went) printf("%d %x %s\n", e->wd, e->mask, e->len ? e->name : "-"), fflush(stdout);
			at += sizeof *e + e->len;
		}
	}
}
