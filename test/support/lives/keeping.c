/*
 * A server in the manner of nginx: connection objects on the heap, each with two events, and epoll's data is the address of
 * the connection with a flag of its read event in the lowest bit. `set WORD` keeps a word, `get` says it.
 *
 *   keeping PORT [VARYING [UID]]   VARYING bytes, by which the heap differs, come before the connections; UID is who it becomes
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <grp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

struct connection;

struct event {
	struct connection *data;
	unsigned write : 1, accept : 1, instance : 1, active : 1;
	void (*handler)(struct event *);
};

struct connection {
	void *data;
	struct event *read, *write;
	int fd;
	ssize_t (*receive)(int, void *, size_t, int);
	unsigned long number;
};

enum { CONNECTIONS = 64 };

static struct connection *connections, *unused;
static struct event *reads, *writes;
static unsigned long made;
static char *kept;
static int set;

static void watch(int fd, void (*handler)(struct event *), int accepts) {
	struct connection *c = unused;
	if (c == NULL) abort();
	unused = c->data;
	struct event *read = c->read, *write = c->write;
	unsigned instance = !read->instance;
	memset(read, 0, sizeof *read);
	memset(write, 0, sizeof *write);
	*c = (struct connection){ .read = read, .write = write, .fd = fd, .number = ++made };
	c->receive = accepts ? NULL : recv;
	read->data = write->data = c;
	read->instance = write->instance = instance;
	write->write = 1;
	read->accept = accepts;
	read->active = 1;
	read->handler = handler;
	struct epoll_event event = { EPOLLIN, { .u64 = (uintptr_t)c | instance } };
	if (epoll_ctl(set, EPOLL_CTL_ADD, fd, &event) != 0) abort();
}

static void leave(struct connection *c) {
	close(c->fd);
	c->fd = -1;
	c->data = unused;
	unused = c;
}

static void serve(struct event *event) {
	char line[256], answer[300];
	struct connection *c = event->data;
	ssize_t length = c->receive(c->fd, line, sizeof line - 1, 0);
	if (length <= 0) {
		leave(c);
		return;
	}
	line[length] = 0;
	line[strcspn(line, "\r\n")] = 0;
	if (strncmp(line, "set ", 4) == 0) {
		free(kept);
		kept = strdup(line + 4);
		snprintf(answer, sizeof answer, "ok\n");
	} else snprintf(answer, sizeof answer, "%s\n", kept == NULL ? "" : kept);
	if (send(c->fd, answer, strlen(answer), 0) < 0) leave(c);
}

static void greet(struct event *event) {
	int fd = accept4(event->data->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd >= 0) watch(fd, serve, 0);
}

int main(int argc, char **argv) {
	volatile char *before = argc > 2 ? malloc(16 + atoi(argv[2])) : NULL;
	if (before != NULL) *before = 1;
	connections = calloc(CONNECTIONS, sizeof *connections);
	reads = calloc(CONNECTIONS, sizeof *reads);
	writes = calloc(CONNECTIONS, sizeof *writes);
	for (int i = CONNECTIONS - 1; i >= 0; i--) {
		connections[i] = (struct connection){ .data = unused, .read = &reads[i], .write = &writes[i], .fd = -1 };
		reads[i].instance = 1;
		unused = &connections[i];
	}
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int yes = 1;
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(atoi(argv[1])) };
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
	if (bind(listener, (struct sockaddr *)&address, sizeof address) != 0 || listen(listener, 16) != 0) return 1;
	if (argc > 3 && (setresgid(atoi(argv[3]), atoi(argv[3]), atoi(argv[3])) != 0 || setgroups(0, NULL) != 0)) return 3;
	if (argc > 3 && setresuid(atoi(argv[3]), atoi(argv[3]), atoi(argv[3])) != 0) return 3;
	set = epoll_create1(EPOLL_CLOEXEC);
	watch(listener, greet, 1);
	for (;;) {
		struct epoll_event events[8];
		int count = epoll_wait(set, events, 8, -1);
		if (count < 0 && errno != EINTR) return 2;
		for (int i = 0; i < count; i++) {
			uintptr_t word = events[i].data.u64;
			struct connection *c = (struct connection *)(word & ~(uintptr_t)1);
			if (c->fd == -1 || c->read->instance != (word & 1)) continue;
			c->read->handler(c->read);
		}
	}
}
