/*
 * The blob's records, written by hand: nothing here comes from src/. Numbers are those of src/blob/blob.h and of
 * arch/x86/entry/syscalls/syscall_64.tbl.
 */

export const NR = {
	...{
		read: 0,
		write: 1,
		open: 2,
		close: 3,
		mmap: 9,
		munmap: 11,
		mremap: 25,
		pause: 34,
		getpid: 39,
		exit: 60,
		wait4: 61,
	},
	...{ kill: 62, fcntl: 72, setsid: 112, prctl: 157, gettid: 186, futex: 202, exit_group: 231 },
} as const;

export const DO = { END: 0xff00, SPAWN: 0xff01, AWAIT: 0xff02, LEAVE: 0xff03, CPUID: 0xff04, CLONE: 0xff06 } as const;

export const EXPECTED = { ANYTHING: 0, SUCCESS: 1, EXACTLY: 2, SUCCESS_OR: 3, REPEAT: 4 } as const;

export interface HandStep {
	readonly call: number;
	readonly args?: readonly (number | bigint)[];
	/** Indices of arguments that are addresses of values. */
	readonly indirect?: readonly number[];
	readonly expect?: number;
	readonly id?: number;
	readonly want?: bigint;
	readonly store?: bigint;
}

/** `struct step`s, with the end that a list needs. */
export function steps(list: readonly HandStep[]): Buffer {
	const bytes = Buffer.alloc(72 * (list.length + 1));
	for (const [i, { call, args = [], indirect = [], expect = EXPECTED.SUCCESS, id, want, store }] of list.entries()) {
		const at = 72 * i;
		bytes.writeUInt16LE(call, at);
		bytes.writeUInt8(
			indirect.reduce((bits, n) => bits | (1 << n), 0),
			at + 2,
		);
		bytes.writeUInt8(expect, at + 3);
		bytes.writeUInt32LE(id ?? i + 1, at + 4);
		for (const [n, arg] of args.entries()) bytes.writeBigUInt64LE(BigInt.asUintN(64, BigInt(arg)), at + 8 + 8 * n);
		bytes.writeBigUInt64LE(BigInt.asUintN(64, want ?? 0n), at + 56);
		bytes.writeBigUInt64LE(store ?? 0n, at + 64);
	}
	bytes.writeUInt16LE(DO.END, 72 * list.length);
	return bytes;
}

/** 64-bit words in a row: `struct context`, `struct clone_args` and the like. */
export const words = (...values: readonly (number | bigint)[]): Buffer => {
	const bytes = Buffer.alloc(8 * values.length);
	for (const [i, value] of values.entries()) bytes.writeBigUInt64LE(BigInt.asUintN(64, BigInt(value)), 8 * i);
	return bytes;
};
