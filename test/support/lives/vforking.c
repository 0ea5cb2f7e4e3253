/* Waits in vfork(2) for a child that waits for a signal, in a loop: says so each time the child has ended. */
#define _GNU_SOURCE
#include <stdio.h>
#include <unistd.h>
int main(void) {
	puts("ready"); fflush(stdout);
	for (;;) {
		if (vfork() == 0) { pause(); _exit(0); }
		puts("again"); fflush(stdout);
		pause();
	}
}
