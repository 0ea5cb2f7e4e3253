/*
 * Memory that children have from their parent: 8 MiB, of which each has changed some pages since, the second has given a quarter back
 * and the third has longer memory; a grandchild has what its parent had changed. Asked by SIGUSR1, all look at every byte of theirs,
 * and the root says whether all were right.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PAGE = 4096, PAGES = 2048, MORE = 16, KINDS = 5 };
static unsigned char *memory, *longer;
static volatile struct { int asked, right[KINDS]; } *shared;
static int kind;

static int at_first(int page) { return page % 250 + 1; }

static int wanted(int page)
{
	if (kind == 2 && page >= PAGES / 4 && page < PAGES / 2)
		return 0;
	// the grandchild is that of the first
	int changer = kind == 4 ? 1 : kind;
	return changer > 0 && page / 10 == changer ? 200 + changer : at_first(page);
}

static int right(void)
{
	for (int i = 0; i < PAGES * PAGE; i++)
		if (memory[i] != wanted(i / PAGE))
			return 0;
	for (int i = 0; kind == 3 && i < MORE * PAGE; i++)
		if (longer[i] != (i < MORE / 2 * PAGE ? 7 : 8))
			return 0;
	return 1;
}

static void ask(int unused)
{
	(void)unused;
	shared->asked++;
}

int main(void)
{
	shared = mmap(0, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	memory = mmap(0, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	// room behind it, so that it can grow where it is
	longer = mmap(0, MORE * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	munmap(longer, MORE * PAGE);
	longer = mmap(longer, MORE / 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
	for (int i = 0; i < PAGES; i++)
		memset(memory + i * PAGE, at_first(i), PAGE);
	memset(longer, 7, MORE / 2 * PAGE);
	signal(SIGUSR1, SIG_IGN);
	for (int i = 1; i < 4 && kind == 0; i++)
		if (fork() == 0)
			kind = i;
	if (kind > 0)
		memset(memory + kind * 10 * PAGE, 200 + kind, 10 * PAGE);
	if (kind == 1 && fork() == 0)
		kind = 4;
	if (kind == 2)
		madvise(memory + PAGES / 4 * PAGE, PAGES / 4 * PAGE, MADV_DONTNEED);
	if (kind == 3 && mremap(longer, MORE / 2 * PAGE, MORE * PAGE, 0) == longer)
		memset(longer + MORE / 2 * PAGE, 8, MORE / 2 * PAGE);
	if (kind == 0) {
		signal(SIGUSR1, ask);
		usleep(200000);
		puts("ready");
		fflush(stdout);
	}
	for (int said = 0;; usleep(2000)) {
		if (shared->asked == said)
			continue;
		shared->right[kind] = right();
		said = shared->asked;
		for (int i = 0; kind == 0 && i < 1500; i++, usleep(2000)) {
			int all = 1;
			for (int k = 0; k < KINDS; k++)
				all &= shared->right[k];
			if (all) {
				puts("right");
				fflush(stdout);
				break;
			}
		}
		if (kind == 0)
			for (int k = 0; k < KINDS; k++)
				shared->right[k] = 0;
	}
}
