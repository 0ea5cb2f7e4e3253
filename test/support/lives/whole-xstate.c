#define _GNU_SOURCE
#include <dlfcn.h>
#include <elf.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>

/*
 * folklore: gdb before 14 knows 2696 bytes of XSAVE, and the kernel takes all of them or none (fpu/regset.c, xstateregs_set):
 * where the processor has more (AMX), every write of registers ends with "Couldn't write extended state status: Bad
 * address", in any process. Seen: gdb 13.1, Sapphire Rapids. Preloaded, this sends the rest along as it was.
 */
long ptrace(enum __ptrace_request request, ...)
{
	va_list rest;
	va_start(rest, request);
	int pid = va_arg(rest, int);
	void *at = va_arg(rest, void *);
	void *data = va_arg(rest, void *);
	va_end(rest);
	long (*real)(enum __ptrace_request, ...) = (long (*)(enum __ptrace_request, ...))dlsym(RTLD_NEXT, "ptrace");
	if (request == PTRACE_SETREGSET && (long)at == NT_X86_XSTATE) {
		static char whole[1 << 16];
		struct iovec written = *(struct iovec *)data;
		struct iovec all = { whole, sizeof whole };
		if (real(PTRACE_GETREGSET, pid, at, &all) == 0 && written.iov_len < all.iov_len) {
			memcpy(whole, written.iov_base, written.iov_len);
			return real(request, pid, at, &all);
		}
	}
	return real(request, pid, at, data);
}
