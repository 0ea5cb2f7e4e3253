import type { UserRegs } from "../../arch/x86-64/registers.ts";
import { syscallName } from "../../arch/x86-64/syscalls.ts";
import { hex } from "../../bytes/address.ts";

/** The system call that a thread is in. */
export interface Call {
	readonly number: bigint;
	readonly name: string;
	/** Its six argument registers; how many of them mean something depends on the call. */
	readonly args: readonly bigint[];
}

/** `undefined` for a thread in no call. Registers are those of the call while `orig_ax` names one (syscall(2)). */
export function callOf(registers: UserRegs): Call | undefined {
	const { orig_ax, di, si, dx, r10, r8, r9 } = registers;
	const name = syscallName(orig_ax);
	return name === undefined ? undefined : { number: orig_ax, name, args: [di, si, dx, r10, r8, r9] };
}

/** `clock_nanosleep(0, 0, 0x7ffd2f0a1e50, 0)`; calls that threads seldom rest in as `mmap(…)`. */
export function callText({ name, args }: Call): string {
	const count = counts.get(name);
	if (count === undefined) return `${name}(…)`;
	const texts = args.slice(0, name === "futex" ? futexCount(args[1] ?? 0n) : count).map(wordText);
	if (name === "futex") texts[1] = futexText(args[1] ?? 0n);
	return `${name}(${texts.join(", ")})`;
}

/** Where threads are found: waiting, reading, writing, dying. Number of arguments by name. */
const counts: ReadonlyMap<string, number> = new Map(
	Object.entries({
		0: "pause restart_syscall rt_sigreturn sched_yield vfork",
		1: "close exit exit_group fsync fdatasync syncfs",
		2: "flock kill nanosleep rt_sigsuspend tkill",
		3: "accept connect fcntl getdents64 ioctl poll read readv recvmsg semop sendmsg tgkill write writev",
		4: "accept4 clock_nanosleep epoll_wait openat pread64 pwrite64 rt_sigtimedwait semtimedop wait4",
		5: "io_getevents mq_timedreceive mq_timedsend msgrcv ppoll recvmmsg select waitid futex_waitv",
		6: "epoll_pwait epoll_pwait2 futex io_uring_enter pselect6 recvfrom sendto",
	}).flatMap(([count, names]) => names.split(" ").map((name): [string, number] => [name, Number(count)])),
);

/** Small numbers in decimal, those that are negative as an int or a long too (-1, AT_FDCWD), all else in hexadecimal. */
function wordText(word: bigint): string {
	if (word < 65_536n) return word.toString();
	const signed = word >> 32n === 0n ? BigInt.asIntN(32, word) : BigInt.asIntN(64, word);
	return signed < 0n && signed >= -4096n ? signed.toString() : hex(word);
}

/** FUTEX_ operations (include/uapi/linux/futex.h), in order. */
const futexOps = `
	FUTEX_WAIT FUTEX_WAKE FUTEX_FD FUTEX_REQUEUE FUTEX_CMP_REQUEUE FUTEX_WAKE_OP FUTEX_LOCK_PI FUTEX_UNLOCK_PI
	FUTEX_TRYLOCK_PI FUTEX_WAIT_BITSET FUTEX_WAKE_BITSET FUTEX_WAIT_REQUEUE_PI FUTEX_CMP_REQUEUE_PI FUTEX_LOCK_PI2`
	.trim()
	.split(/\s+/);

/** FUTEX_PRIVATE_FLAG and FUTEX_CLOCK_REALTIME say how, not what. */
const futexOp = (word: bigint): number => Number(word & 0x7fn);

const futexText = (word: bigint): string => futexOps[futexOp(word)] ?? wordText(word);

/** Waits compare with a value and may time out; wakes and locks take less. */
const futexCount = (word: bigint): number => (/WAIT/.test(futexText(word)) ? 4 : 3);
