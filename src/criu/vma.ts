/** `vma_entry.status` bits (criu/include/image.h names them VMA_AREA_…, 4.2). */
export const VMA = {
	/** The restorer maps it; absent only for vsyscall, guards and AIO rings. */
	REGULAR: 0x1,
	VSYSCALL: 0x4,
	VDSO: 0x8,
	HEAP: 0x20,
	FILE_PRIVATE: 0x40,
	FILE_SHARED: 0x80,
	ANON_SHARED: 0x100,
	ANON_PRIVATE: 0x200,
	SYSVIPC: 0x400,
	SOCKET: 0x800,
	VVAR: 0x1000,
	AIORING: 0x2000,
	MEMFD: 0x4000,
	SHSTK: 0x8000,
	GUARD: 0x10000,
} as const;

/** `pagemap_entry.flags`. */
export const PE = {
	/** Content lies in the parent directory. */
	PARENT: 1,
	/** May be served lazily. */
	LAZY: 2,
	/** Content lies in the pages file. */
	PRESENT: 4,
} as const;

/** The signals that have an action, in the order of `task_core_entry.sigactions`: 1…64 without SIGKILL and SIGSTOP. */
export const ACTION_SIGNALS: readonly number[] = Array.from({ length: 64 }, (_, i) => i + 1).filter(
	(n) => n !== 9 && n !== 19,
);

/** The longest auxiliary vector an image may hold, in words (criu/include/prctl.h, 4.2). */
export const AUXV_WORDS = 44;
