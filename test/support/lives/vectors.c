/*
 * A thread on each processor that holds values of its own in every general and vector register, in the opmasks, MXCSR and the x87 unit,
 * and dies where one of them changes under its hands. The first says `N` each time all of them have gone round again.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct bench {
	uint64_t turns;               /* 0 */
	uint64_t unused[7];
	unsigned char now[2560];      /* 64 */
	unsigned char want[2560];     /* 2624 */
} __attribute__((aligned(64)));

#define EIGHT "0,1,2,3,4,5,6,7"
#define SIXTEEN EIGHT ",8,9,10,11,12,13,14,15"
#define THIRTYTWO SIXTEEN ",16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31"
/* general registers too: rbx, rdx, r8 to r15 and rbp hold what is at want + 2176; rdi is the bench, rax, rcx and rsi are free */
#define GENERAL(what) what("rbx", 0) what("rdx", 8) what("r8", 16) what("r9", 24) what("r10", 32) what("r11", 40) what("r12", 48) what("r13", 56) what("r14", 64) what("r15", 72) what("rbp", 80)
#define TAKE(name, at) "mov 2624+2176+" #at "(%%rdi), %%" name "\n"
#define CHECK(name, at) "cmp 2624+2176+" #at "(%%rdi), %%" name "\n jne 9f\n"
#define LOOP(count, take, store) \
	__asm__ volatile("mov %0, %%rdi\n fninit\n fldcw 2624+2304(%%rdi)\n fldpi\n fldl2e\n fldln2\n ldmxcsr 2624+2312(%%rdi)\n" \
		take GENERAL(TAKE) \
		"1: " store "stmxcsr 64+2312(%%rdi)\n mov 64+2312(%%rdi), %%eax\n cmp 2624+2312(%%rdi), %%eax\n jne 9f\n" \
		"fnstcw 64+2304(%%rdi)\n mov 64+2304(%%rdi), %%ax\n cmp 2624+2304(%%rdi), %%ax\n jne 9f\n" \
		"fldln2\n fcomip %%st(1), %%st\n jne 9f\n" \
		GENERAL(CHECK) "xor %%ecx, %%ecx\n" \
		"2: mov 64(%%rdi,%%rcx), %%rax\n cmp 2624(%%rdi,%%rcx), %%rax\n jne 9f\n add $8, %%ecx\n cmp $" #count ", %%ecx\n jne 2b\n" \
		"incq (%%rdi)\n jmp 1b\n 9: ud2\n" ::"r"(b) : "memory")

static void *spin(void *bench) {
	struct bench *b = bench;
	if (__builtin_cpu_supports("avx512bw"))
		LOOP(2112, ".irp n," THIRTYTWO "\n vmovdqu64 2624+64*\\n(%%rdi), %%zmm\\n\n.endr\n.irp n," EIGHT "\n kmovq 2624+2048+8*\\n(%%rdi), %%k\\n\n.endr\n",
			".irp n," THIRTYTWO "\n vmovdqu64 %%zmm\\n, 64+64*\\n(%%rdi)\n.endr\n.irp n," EIGHT "\n kmovq %%k\\n, 64+2048+8*\\n(%%rdi)\n.endr\n");
	else if (__builtin_cpu_supports("avx"))
		LOOP(512, ".irp n," SIXTEEN "\n vmovdqu 2624+32*\\n(%%rdi), %%ymm\\n\n.endr\n", ".irp n," SIXTEEN "\n vmovdqu %%ymm\\n, 64+32*\\n(%%rdi)\n.endr\n");
	else
		LOOP(256, ".irp n," SIXTEEN "\n movdqu 2624+16*\\n(%%rdi), %%xmm\\n\n.endr\n", ".irp n," SIXTEEN "\n movdqu %%xmm\\n, 64+16*\\n(%%rdi)\n.endr\n");
	return 0;
}

int main(void) {
	int count = sysconf(_SC_NPROCESSORS_ONLN);
	struct bench *benches = mmap(0, count * sizeof *benches, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	for (int i = 0; i < count; i++) {
		uint64_t seed = 0x9E3779B97F4A7C15u * (i + 1);
		for (int at = 0; at < 2304; at++) benches[i].want[at] = (seed = seed * 6364136223846793005u + 1442695040888963407u) >> 56;
		memcpy(benches[i].want + 2304, &(uint16_t){0x0b7f}, 2);
		memcpy(benches[i].want + 2312, &(uint32_t){0xbf80}, 4);
		pthread_t thread;
		pthread_create(&thread, 0, spin, benches + i);
	}
	printf("%s\n", __builtin_cpu_supports("avx512bw") ? "AVX-512" : __builtin_cpu_supports("avx") ? "AVX" : "SSE");
	fflush(stdout);
	for (int round = 0;; round++) {
		for (int i = 0; i < count; i++)
			for (uint64_t then = *(volatile uint64_t *)&benches[i].turns; *(volatile uint64_t *)&benches[i].turns == then;) usleep(1000);
		usleep(10000);
		printf("%d\n", round);
		fflush(stdout);
	}
}
