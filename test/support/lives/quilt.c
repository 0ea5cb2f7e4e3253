/* argv[1] pages, no two neighbours of one protection, and each with its number; SIGUSR1 has them checked: `N patches right`. */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
static const int protections[] = {PROT_READ | PROT_WRITE, PROT_NONE, PROT_READ, PROT_READ | PROT_EXEC, PROT_READ | PROT_WRITE | PROT_EXEC, PROT_READ};
int main(int argc, char **argv) {
	long count = atol(argv[1]); int ends[2]; pipe(ends);
	sigset_t usr1; sigemptyset(&usr1); sigaddset(&usr1, SIGUSR1); sigprocmask(SIG_BLOCK, &usr1, 0);
	char *quilt = mmap(0, count * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	for (long i = 0; i < count; i++) if (i % 7) *(long *)(quilt + i * 4096 + 8 * (i % 512)) = i + 1;
	for (long i = 0; i < count; i++) if (mprotect(quilt + i * 4096, 4096, protections[i % 6])) return 1;
	puts("ready"); fflush(stdout);
	for (int number; !sigwait(&usr1, &number);) {
		long right = 0;
		for (long i = 0; i < count; i++) {
			char *page = quilt + i * 4096; long want = i % 7 ? i + 1 : 0, got; int kind = protections[i % 6];
			/* the kernel reads and writes for us, and says where that cannot be */
			int readable = write(ends[1], page + 8 * (i % 512), 8) == 8 && read(ends[0], &got, 8) == 8;
			if (readable != (kind != PROT_NONE)) continue;
			if (readable && got != want) continue;
			char byte = 0; write(ends[1], &byte, 1);
			int writable = read(ends[0], page + 4095, 1) == 1;
			if (!writable) read(ends[0], &byte, 1);
			if (writable != ((kind & PROT_WRITE) != 0)) continue;
			if (!readable) { mprotect(page, 4096, PROT_READ); int same = *(long *)(page + 8 * (i % 512)) == want; mprotect(page, 4096, kind); if (!same) continue; }
			right++;
		}
		printf("%ld patches right\n", right); fflush(stdout);
	}
}
