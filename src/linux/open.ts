import { layout, u64 } from "../bytes/layout.ts";
import { flagWords } from "./flag-words.ts";

/** Flags of open(2) as the kernel and CRIU's images hold them (include/uapi/asm-generic/fcntl.h; octal, as there). */
export const O = {
	RDONLY: 0o0,
	WRONLY: 0o1,
	RDWR: 0o2,
	CREAT: 0o100,
	EXCL: 0o200,
	NOCTTY: 0o400,
	TRUNC: 0o1000,
	APPEND: 0o2000,
	NONBLOCK: 0o4000,
	DSYNC: 0o10000,
	ASYNC: 0o20000,
	DIRECT: 0o40000,
	/** Set by the kernel on every open of a 64-bit process; glibc's own constant is 0. */
	LARGEFILE: 0o100000,
	DIRECTORY: 0o200000,
	NOFOLLOW: 0o400000,
	NOATIME: 0o1000000,
	CLOEXEC: 0o2000000,
	/** Includes DSYNC. */
	SYNC: 0o4010000,
	PATH: 0o10000000,
	/** Includes DIRECTORY. */
	TMPFILE: 0o20200000,
} as const;

/** The bits of RDONLY, WRONLY and RDWR. */
export const O_ACCMODE = 0o3;

const accessNames = ["O_RDONLY", "O_WRONLY", "O_RDWR", "O_ACCMODE"];

/** Flags that include another come first, so that they are not read as that one and a rest. */
const names = Object.fromEntries(
	[{ SYNC: O.SYNC, TMPFILE: O.TMPFILE }, O]
		.flatMap((flags) => Object.entries(flags))
		.filter(([, bits]) => bits > O_ACCMODE)
		.map(([name, bits]) => [`O_${name}`, bits]),
);

/** `O_RDWR|O_APPEND|O_CLOEXEC`; unknown bits in hexadecimal. */
export const openFlagsText = (flags: number): string =>
	[accessNames[flags & O_ACCMODE] ?? "", ...flagWords(flags & ~O_ACCMODE, names)].join("|");

/** `struct open_how` of openat2(2) (include/uapi/linux/openat2.h): 24 bytes. */
export const openHow = layout("open_how", { flags: u64, mode: u64, resolve: u64 });

/** How openat2(2) follows a path (the same header, Linux 5.6). */
export const RESOLVE = { NO_XDEV: 1, NO_MAGICLINKS: 2, NO_SYMLINKS: 4, BENEATH: 8, IN_ROOT: 16 } as const;
