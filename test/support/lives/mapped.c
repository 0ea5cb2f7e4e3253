/* Maps the file argv[1], private and shared. Each SIGUSR1 has it say what is there. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
int main(int argc, char **argv) {
	int fd = open(argv[1], O_RDWR);
	char *own = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	char *all = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	sigset_t usr1; sigemptyset(&usr1); sigaddset(&usr1, SIGUSR1); sigprocmask(SIG_BLOCK, &usr1, 0);
	own[0] = 'O';
	puts("ready"); fflush(stdout);
	for (int number; !sigwait(&usr1, &number);) { printf("%.4s %.4s\n", own, all); fflush(stdout); }
}
