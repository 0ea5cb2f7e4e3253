/*
 * What a stopped process is, seen from outside: `onlooker PID [EARLIER]`. Of each thread its registers, XSAVE area, signal mask, robust
 * list, rseq registration and waiting signals by ptrace; a hash of every page that is there through /proc/PID/mem; and of
 * every page that an EARLIER look names, there or not. One fact a line: `name value`.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

typedef unsigned long long u64;
static struct { u64 at; } rseqs[1024];
static int nrseqs;

static void die(const char *what) { perror(what); exit(1); }
static void hex(const void *bytes, size_t n) { for (size_t i = 0; i < n; i++) printf("%02x", ((const unsigned char *)bytes)[i]); }

static void waiting(int tid, int shared) {
	for (int i = 0; i < 64; i++) {
		siginfo_t info;
		struct __ptrace_peeksiginfo_args ask = {i, shared ? PTRACE_PEEKSIGINFO_SHARED : 0, 1};
		if (ptrace(PTRACE_PEEKSIGINFO, tid, &ask, &info) != 1) break;
		printf("%d %s signal %d: ", tid, shared ? "shared" : "own", i);
		hex(&info, 48);
		putchar('\n');
	}
}

static void thread(int tid, int first) {
	if (ptrace(PTRACE_SEIZE, tid, 0, 0)) die("PTRACE_SEIZE");
	if (ptrace(PTRACE_INTERRUPT, tid, 0, 0)) die("PTRACE_INTERRUPT");
	int status;
	if (waitpid(tid, &status, __WALL) != tid || !WIFSTOPPED(status)) die("waitpid");
	struct user_regs_struct r;
	if (ptrace(PTRACE_GETREGS, tid, 0, &r)) die("PTRACE_GETREGS");
	/* a call that was interrupted is made again: by the kernel from its own notes, or from the start */
	long call = r.orig_rax, result = r.rax;
	if (call >= 0 && (result == -512 || result == -513 || result == -514 || result == -516)) {
		if (call == SYS_restart_syscall) {
			unsigned code = 0;
			errno = 0;
			long word = ptrace(PTRACE_PEEKTEXT, tid, r.rip - 6, 0);
			if (!errno) code = (unsigned)word, call = code;
		}
		r.rip -= 2, r.rax = call;
	}
#define REG(name) printf("%d " #name " %llx\n", tid, (u64)r.name)
	REG(r15); REG(r14); REG(r13); REG(r12); REG(rbp); REG(rbx); REG(r11); REG(r10); REG(r9); REG(r8); REG(rax); REG(rcx); REG(rdx);
	REG(rsi); REG(rdi); REG(rip); REG(cs); REG(eflags); REG(rsp); REG(ss); REG(fs_base); REG(gs_base); REG(ds); REG(es); REG(fs); REG(gs);
	static unsigned char area[16384];
	memset(area, 0, sizeof area);
	struct iovec io = {area, sizeof area};
	if (ptrace(PTRACE_GETREGSET, tid, NT_X86_XSTATE, &io)) die("NT_X86_XSTATE");
	/* which components are in their initial state (XSTATE_BV) is the processor's affair: their bytes are shown all the same */
	memset(area + 512, 0, 8);
	for (size_t at = 0; at < io.iov_len; at += 64) {
		printf("%d xsave+%zu ", tid, at);
		hex(area + at, 64);
		putchar('\n');
	}
	u64 mask = 0;
	if (ptrace(PTRACE_GETSIGMASK, tid, 8, &mask)) die("PTRACE_GETSIGMASK");
	printf("%d mask %llx\n", tid, mask);
	struct __ptrace_rseq_configuration rseq = {0};
	if (ptrace(PTRACE_GET_RSEQ_CONFIGURATION, tid, sizeof rseq, &rseq) > 0) {
		printf("%d rseq %llx %x %x\n", tid, (u64)rseq.rseq_abi_pointer, rseq.rseq_abi_size, rseq.signature);
		if (rseq.rseq_abi_pointer) rseqs[nrseqs++].at = rseq.rseq_abi_pointer;
	}
	u64 head = 0, length = 0;
	if (!syscall(SYS_get_robust_list, tid, &head, &length)) printf("%d robust list %llx\n", tid, head);
	waiting(tid, 0);
	if (first) waiting(tid, 1);
	if (ptrace(PTRACE_DETACH, tid, 0, 0)) die("PTRACE_DETACH");
}

static int mem, pages;
static void page(u64 at, const char *kind) {
	static unsigned char bytes[4096];
	if (pread(mem, bytes, 4096, at) != 4096) { printf("page %llx unreadable\n", at); return; }
	/* the kernel writes where a thread runs into its rseq area: cpu_id_start, cpu_id; node_id, mm_cid */
	for (int i = 0; i < nrseqs; i++)
		for (int at_byte = 0; at_byte < 28; at_byte++) {
			u64 where = rseqs[i].at + at_byte;
			if ((at_byte < 8 || at_byte >= 20) && where >= at && where < at + 4096) bytes[where - at] = 0;
		}
	uint64_t hash = 0, any = 0;
	for (int i = 0; i < 512; i++) {
		uint64_t word;
		memcpy(&word, bytes + 8 * i, 8);
		any |= word;
		hash = (hash ^ word) * 0x9E3779B97F4A7C15u;
		hash ^= hash >> 29;
	}
	printf("page %llx %016llx %s\n", at, any ? (u64)hash : 0, kind);
}

static int numeric(const void *a, const void *b) { return *(const int *)a - *(const int *)b; }

int main(int argc, char **argv) {
	char path[64], line[4400];
	int pid = atoi(argv[1]), tids[1024], count = 0;
	snprintf(path, 64, "/proc/%d/task", pid);
	DIR *tasks = opendir(path);
	if (!tasks) die(path);
	for (struct dirent *entry; (entry = readdir(tasks));) if (atoi(entry->d_name)) tids[count++] = atoi(entry->d_name);
	qsort(tids, count, sizeof *tids, numeric);
	for (int i = 0; i < count; i++) thread(tids[i], !i);
	snprintf(path, 64, "/proc/%d/mem", pid);
	if ((mem = open(path, O_RDONLY)) < 0) die(path);
	snprintf(path, 64, "/proc/%d/pagemap", pid);
	if ((pages = open(path, O_RDONLY)) < 0) die(path);
	snprintf(path, 64, "/proc/%d/maps", pid);
	FILE *maps = fopen(path, "r");
	while (fgets(line, sizeof line, maps)) {
		u64 start, end;
		if (strstr(line, "[v") || sscanf(line, "%llx-%llx", &start, &end) != 2) continue;
		static uint64_t entries[65536];
		while (start < end) {
			size_t n = (end - start) / 4096 < 65536 ? (end - start) / 4096 : 65536;
			if (pread(pages, entries, n * 8, start / 4096 * 8) != (ssize_t)(n * 8)) die("pagemap");
			for (size_t i = 0; i < n; i++, start += 4096)
				if (entries[i] >> 62) page(start, entries[i] >> 61 & 1 ? "file" : "own");
		}
	}
	FILE *earlier = argc > 2 ? fopen(argv[2], "r") : 0;
	while (earlier && fgets(line, sizeof line, earlier)) {
		u64 at;
		if (sscanf(line, "page %llx", &at) == 1) page(at, "again");
	}
	puts("end");
	return 0;
}
