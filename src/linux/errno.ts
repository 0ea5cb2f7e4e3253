/** Error numbers 1 to 133 in order (include/uapi/asm-generic/errno-base.h, errno.h); `-` where a number is unused. */
// biome-ignore format: a table
const table = [
	"EPERM", "ENOENT", "ESRCH", "EINTR", "EIO", "ENXIO", "E2BIG", "ENOEXEC", "EBADF", "ECHILD", "EAGAIN", "ENOMEM",
	"EACCES", "EFAULT", "ENOTBLK", "EBUSY", "EEXIST", "EXDEV", "ENODEV", "ENOTDIR", "EISDIR", "EINVAL", "ENFILE",
	"EMFILE", "ENOTTY", "ETXTBSY", "EFBIG", "ENOSPC", "ESPIPE", "EROFS", "EMLINK", "EPIPE", "EDOM", "ERANGE",
	"EDEADLK", "ENAMETOOLONG", "ENOLCK", "ENOSYS", "ENOTEMPTY", "ELOOP", "-", "ENOMSG", "EIDRM", "ECHRNG",
	"EL2NSYNC", "EL3HLT", "EL3RST", "ELNRNG", "EUNATCH", "ENOCSI", "EL2HLT", "EBADE", "EBADR", "EXFULL", "ENOANO",
	"EBADRQC", "EBADSLT", "-", "EBFONT", "ENOSTR", "ENODATA", "ETIME", "ENOSR", "ENONET", "ENOPKG", "EREMOTE",
	"ENOLINK", "EADV", "ESRMNT", "ECOMM", "EPROTO", "EMULTIHOP", "EDOTDOT", "EBADMSG", "EOVERFLOW", "ENOTUNIQ",
	"EBADFD", "EREMCHG", "ELIBACC", "ELIBBAD", "ELIBSCN", "ELIBMAX", "ELIBEXEC", "EILSEQ", "ERESTART", "ESTRPIPE",
	"EUSERS", "ENOTSOCK", "EDESTADDRREQ", "EMSGSIZE", "EPROTOTYPE", "ENOPROTOOPT", "EPROTONOSUPPORT",
	"ESOCKTNOSUPPORT", "EOPNOTSUPP", "EPFNOSUPPORT", "EAFNOSUPPORT", "EADDRINUSE", "EADDRNOTAVAIL", "ENETDOWN",
	"ENETUNREACH", "ENETRESET", "ECONNABORTED", "ECONNRESET", "ENOBUFS", "EISCONN", "ENOTCONN", "ESHUTDOWN",
	"ETOOMANYREFS", "ETIMEDOUT", "ECONNREFUSED", "EHOSTDOWN", "EHOSTUNREACH", "EALREADY", "EINPROGRESS", "ESTALE",
	"EUCLEAN", "ENOTNAM", "ENAVAIL", "EISNAM", "EREMOTEIO", "EDQUOT", "ENOMEDIUM", "EMEDIUMTYPE", "ECANCELED",
	"ENOKEY", "EKEYEXPIRED", "EKEYREVOKED", "EKEYREJECTED", "EOWNERDEAD", "ENOTRECOVERABLE", "ERFKILL", "EHWPOISON",
] as const;

/**
 * Codes a system call returns only to the kernel itself (include/linux/errno.h). In a core they stand in `ax`, negated,
 * of every thread that a dump caught inside a call: user space must never see them.
 */
const restarts = { ERESTARTSYS: 512, ERESTARTNOINTR: 513, ERESTARTNOHAND: 514, ERESTART_RESTARTBLOCK: 516 } as const;

type ErrnoName = Exclude<(typeof table)[number], "-"> | keyof typeof restarts;

const numbers = Object.fromEntries([
	...table.map((name, i): [string, number] => [name, i + 1]).filter(([name]) => name !== "-"),
	...Object.entries(restarts),
]) as Readonly<Record<ErrnoName, number>>;

/** Positive, as in errno(3). What a call returns that fails is {@link errorResult} of it. */
export const { ECONNREFUSED, EPROTOTYPE } = numbers;
export const {
	EPERM,
	ENOENT,
	ESRCH,
	EINTR,
	EIO,
	ENXIO,
	EBADF,
	EAGAIN,
	EACCES,
	EEXIST,
	EINVAL,
	ENOTTY,
	ENOSYS,
	EDQUOT,
} = numbers;
export const { ERESTARTSYS, ERESTARTNOINTR, ERESTARTNOHAND, ERESTART_RESTARTBLOCK } = numbers;

/** Number to name, kernel-internal restart codes included. */
export const errnoNames: ReadonlyMap<number, string> = new Map(
	Object.entries(numbers).map(([name, number]) => [number, name]),
);

/** `EINTR` for 4 (and for -4), `errno 1000` for a number without a name. */
export const errnoName = (errno: number): string => errnoNames.get(Math.abs(errno)) ?? `errno ${Math.abs(errno)}`;

/** What a system call returns that fails with an error. */
export const errorResult = (errno: number): bigint => -BigInt(errno);

/** Whether a call returned one of these errors. */
export const failedWith = (result: bigint, ...errnos: readonly number[]): boolean =>
	errnos.some((errno) => result === errorResult(errno));

/** Whether what a call returned is an error at all (include/linux/err.h, MAX_ERRNO). */
export const isErrorResult = (result: bigint): boolean => result < 0n && result >= -4095n;
