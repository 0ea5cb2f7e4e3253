/*
 * What this kernel and processor make of signal frames. Without arguments: a real one, described. With a file: that is mapped at
 * 0x10000000, rt_sigreturn is called with the stack pointer there, and whoever arrives at `landing` tells its registers.
 */
#define _GNU_SOURCE
#include <cpuid.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FRAME 0x10000000ul

extern char landing[];

struct told {
	uint64_t gpr[16]; /* r8 … r15, di, si, bp, bx, dx, ax, cx, sp */
	uint64_t flags, mask, stack, stack_flags, stack_size;
};
struct told told;
__attribute__((aligned(64))) unsigned char area[16384];
__attribute__((aligned(64))) unsigned char room[65536];

__asm__(".globl landing\n"
	"landing:\n"
	"	mov %r8, told\n	mov %r9, told+8\n	mov %r10, told+16\n	mov %r11, told+24\n"
	"	mov %r12, told+32\n	mov %r13, told+40\n	mov %r14, told+48\n	mov %r15, told+56\n"
	"	mov %rdi, told+64\n	mov %rsi, told+72\n	mov %rbp, told+80\n	mov %rbx, told+88\n"
	"	mov %rdx, told+96\n	mov %rax, told+104\n	mov %rcx, told+112\n	mov %rsp, told+120\n"
	"	lea room+65536, %rsp\n"
	"	pushfq\n	popq told+128\n"
	"	pushq $0x202\n	popfq\n"
	"	mov $-1, %eax\n	mov $-1, %edx\n"
	"	xsave64 area\n"
	"	call tell\n");

void tell(void)
{
	stack_t old;

	syscall(SYS_rt_sigprocmask, 0, 0, &told.mask, 8);
	sigaltstack(0, &old);
	told.stack = (uint64_t)old.ss_sp;
	told.stack_flags = old.ss_flags;
	told.stack_size = old.ss_size;
	write(1, &told, sizeof told);
	write(1, area, sizeof area);
	_exit(0);
}

static void handler(int signal, siginfo_t *info, void *context)
{
	unsigned char *uc = context;
	unsigned char *fp;
	uint32_t word, size;
	uint64_t wide;

#define SAY(name, type, at) { type it; memcpy(&it, at, sizeof it); printf(name " %llu\n", (unsigned long long)it); }
	memcpy(&fp, uc + 224, 8);
	SAY("uc_flags", uint64_t, uc);
	SAY("cs", uint16_t, uc + 184);
	SAY("ss", uint16_t, uc + 190);
	SAY("magic1", uint32_t, fp + 464);
	SAY("extended_size", uint32_t, fp + 468);
	SAY("xfeatures", uint64_t, fp + 472);
	SAY("xstate_size", uint32_t, fp + 480);
	memcpy(&size, fp + 480, 4);
	SAY("magic2", uint32_t, fp + size);
	SAY("mxcsr_mask", uint32_t, fp + 28);
	printf("misaligned %llu\n", (unsigned long long)((uintptr_t)fp % 64));
	memcpy(&wide, fp + 472, 8);
	for (unsigned i = 2; i < 63; i++) {
		unsigned a, b, c, d;

		if (!(wide >> i & 1))
			continue;
		__cpuid_count(0xd, i, a, b, c, d);
		printf("size%u %u\noffset%u %u\n", i, a, i, b);
	}
	printf("landing %llu\n", (unsigned long long)landing);
}

int main(int count, char **args)
{
	if (count == 1) {
		struct sigaction action = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO };

		sigaction(SIGUSR1, &action, 0);
		raise(SIGUSR1);
		return 0;
	}
	int fd = open(args[1], O_RDONLY);

	if (mmap((void *)FRAME, 0x10000, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, fd, 0) != (void *)FRAME)
		return 1;
	__asm__ volatile("mov %0, %%rsp\n	mov $15, %%eax\n	syscall\n	ud2" : : "r"(FRAME));
}
