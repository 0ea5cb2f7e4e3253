/* fanotify PATH MOUNT [permission]: watches what is written in PATH, and on MOUNT, and says each: the file, and its event. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <sys/fanotify.h>
#include <unistd.h>
int main(int argc, char **argv) {
	_Alignas(8) static char events[4096];
	int group = fanotify_init(argc > 3 ? FAN_CLASS_CONTENT : FAN_CLASS_NOTIF, O_RDONLY | O_LARGEFILE);
	unsigned long more = argc > 3 ? FAN_OPEN_PERM : 0;
	if (fanotify_mark(group, FAN_MARK_ADD, FAN_CLOSE_WRITE | FAN_EVENT_ON_CHILD | more, AT_FDCWD, argv[1]) ||
	    fanotify_mark(group, FAN_MARK_ADD | FAN_MARK_MOUNT, FAN_CLOSE_WRITE, AT_FDCWD, argv[2]))
		return perror("fanotify_mark"), 1;
	printf("watching\n"), fflush(stdout);
	for (;;) {
		long n = read(group, events, sizeof events);
		struct fanotify_event_metadata *e = (void *)events;
		for (; FAN_EVENT_OK(e, n); e = FAN_EVENT_NEXT(e, n)) {
			char link[32], path[4096] = "?";
			sprintf(link, "/proc/self/fd/%d", e->fd);
			readlink(link, path, sizeof path - 1);
			printf("%s %llx\n", path, (unsigned long long)e->mask), fflush(stdout);
			close(e->fd);
		}
	}
}
