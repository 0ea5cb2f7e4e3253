/* A heap of argv[1] MiB, a page written in every argv[2]; each SIGUSR1 has all of it checked, the holes too: `N pages right`. */
#define _GNU_SOURCE
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <malloc.h>
#include <unistd.h>
static uint64_t word(uint64_t page, int i) { uint64_t x = page * 0x9E3779B97F4A7C15u + i * 0xBF58476D1CE4E5B9u; return x ^ x >> 31; }
int main(int argc, char **argv) {
	uint64_t pages = atoll(argv[1]) * 256, every = atoll(argv[2]);
	sigset_t usr1; sigemptyset(&usr1); sigaddset(&usr1, SIGUSR1); sigprocmask(SIG_BLOCK, &usr1, 0);
	mallopt(M_MMAP_THRESHOLD, 1 << 30); mallopt(M_TOP_PAD, 0);
	/* half of it by brk, half by mmap */
	char *halves[2] = {sbrk(pages * 2048 + 4096), mmap(0, pages * 2048, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)};
	if (halves[0] == (void *)-1 || halves[1] == MAP_FAILED) return 1;
	halves[0] = (char *)(((uintptr_t)halves[0] + 4095) & ~4095l);
	if (every > 1) for (int h = 0; h < 2; h++) madvise(halves[h], pages * 2048, MADV_NOHUGEPAGE);
	for (uint64_t p = 0; p < pages; p += every) for (int i = 0; i < 512; i++) ((uint64_t *)(halves[p & every ? 1 : 0] + p / 2 * 4096))[i] = word(p, i);
	puts("ready"); fflush(stdout);
	for (int number; !sigwait(&usr1, &number);) {
		uint64_t right = 0, wrong = 0;
		for (uint64_t p = 0; p < pages / 2; p++) for (int h = 0; h < 2; h++) {
			uint64_t *at = (uint64_t *)(halves[h] + p * 4096), source = 0; int full = 0;
			for (uint64_t q = 2 * p; q < 2 * p + 2; q++) if (q % every == 0 && (q & every ? 1 : 0) == h) full = 1, source = q;
			int holds = 1;
			for (int i = 0; holds && i < 512; i++) holds = at[i] == (full ? word(source, i) : 0);
			holds ? right++ : wrong++;
		}
		if (wrong) printf("%lu pages wrong\n", wrong); else printf("%lu pages right\n", right);
		fflush(stdout);
	}
}
