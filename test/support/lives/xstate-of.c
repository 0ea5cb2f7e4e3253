/*
 * Tells what registers a stopped process has, as the kernel has them: the XMM registers, and each component that it may use,
 * where this processor says that it lies. Usage: xstate-of PID
 */
#include <cpuid.h>
#include <elf.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define ARCH_GET_XCOMP_PERM 0x1022

static unsigned char area[65536];

static void tell(unsigned component, unsigned offset, unsigned size)
{
	printf("%u ", component);
	for (unsigned i = 0; i < size; i++)
		printf("%02x", area[offset + i]);
	printf("\n");
}

int main(int argc, char **argv)
{
	const pid_t pid = atoi(argv[1]);
	struct iovec all = { area, sizeof area };
	if (ptrace(PTRACE_ATTACH, pid, 0, 0) || waitpid(pid, 0, __WALL) != pid ||
	    ptrace(PTRACE_GETREGSET, pid, NT_X86_XSTATE, &all))
		return perror("ptrace"), 1;
	uint64_t may, given;
	memcpy(&may, area + 464, 8);
	/* AMX's tiles are for who asked; a process that has not asked is told all the same that they are zero */
	if (!syscall(SYS_arch_prctl, ARCH_GET_XCOMP_PERM, &given))
		may &= given;
	tell(1, 160, 256);
	for (unsigned i = 2; i < 63; i++) {
		unsigned size, offset, c, d;
		if (!(may >> i & 1))
			continue;
		__cpuid_count(0xd, i, size, offset, c, d);
		if (offset + size <= all.iov_len)
			tell(i, offset, size);
	}
	return ptrace(PTRACE_DETACH, pid, 0, SIGSTOP) != 0;
}
