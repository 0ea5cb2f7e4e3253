import { DO, EXPECTED, type HandStep, NR, steps, words } from "../builders/steps.ts";

/*
 * A plan in miniature, by hand: a process of many threads that all leave by rt_sigreturn, as restored ones do. Addresses and
 * layouts (struct rt_sigframe from its ucontext on, struct clone_args) are from the kernel's headers.
 */

/** Where the plan lies, and the code that the threads leave to: `pause` in a loop, outside the hole. */
export interface Revival {
	readonly bytes: Buffer;
	readonly leader: bigint;
	readonly context: bigint;
	readonly code: bigint;
}

/** What `r12` of a thread holds when it is back. */
export const r12Of = (index: number): bigint => 0x1234_0000_0000n + BigInt(index);
export const MASK = 0x0a00n;

const FRAME = 0x200;
const STACK = 0x800;
const STEPS = 0x200;
const SIZE = FRAME + STACK + STEPS;
const CODE = 0x3000_0000_0000n;

/** @param at Where the bytes will lie. @param tids Leader first. */
export function revival(at: bigint, tids: readonly number[]): Revival {
	const head = 0x1000;
	const own = (index: number): number => 0x2000 + index * SIZE;
	const listAt = 0x2000 + tids.length * SIZE;
	const [context, go, ready] = [at + 0x800n, at + 0x840n, at + 0x880n];
	const clones = listAt + 0x1000 + tids.length * 72;
	const total = clones + tids.length * 128 + 0x1000;
	const bytes = Buffer.alloc(total);

	// mov eax, 34; syscall; jmp back: in a page that is moved out of the hole
	Buffer.from("b8220000000f05ebf7", "hex").copy(bytes, head);
	words(4, tids[0] ?? 0).copy(bytes, 0x800);

	const leave = (index: number): HandStep => ({ call: DO.LEAVE, args: [at + BigInt(own(index))] });
	for (const [index, tid] of tids.entries()) {
		frame(index).copy(bytes, own(index));
		if (index === 0) continue;
		const threadSteps = own(index) + FRAME + STACK;
		steps([
			{ call: NR.gettid, expect: EXPECTED.EXACTLY, want: BigInt(tid) },
			{ call: DO.AWAIT, args: [go, 1] },
			leave(index),
		]).copy(bytes, threadSteps);
		const thread = 0x100 | 0x200 | 0x400 | 0x800 | 0x1_0000 | 0x4_0000;
		const setTid = clones + index * 128 + 96;
		words(thread, 0, 0, 0, 0, at + BigInt(own(index) + FRAME), STACK, 0, at + BigInt(setTid), 1, 0).copy(
			bytes,
			clones + index * 128,
		);
		bytes.writeInt32LE(tid, setTid);
	}
	steps([
		{ call: NR.prctl, args: [1, 9] },
		{ call: NR.setsid, args: [] },
		{ call: NR.mremap, args: [at + BigInt(head), 0x1000, 0x1000, 3, CODE] },
		...tids.slice(1).map((_, i): HandStep => {
			const index = i + 1;
			const list = at + BigInt(own(index) + FRAME + STACK);
			return { call: DO.SPAWN, args: [at + BigInt(clones + index * 128), 88, context, list] };
		}),
		{ call: NR.write, args: [4, ready, 24], expect: EXPECTED.EXACTLY, want: 24n },
		{ call: NR.read, args: [4, go, 1], expect: EXPECTED.EXACTLY, want: 1n },
		{ call: NR.prctl, args: [1, 0] },
		{ call: NR.futex, args: [go, 1, 0x7fff_ffff] },
		leave(0),
	]).copy(bytes, listAt);
	return { bytes, leader: at + BigInt(listAt), context, code: CODE };
}

/** A ucontext: r12 tells the thread, no floating-point state, no alternate stack. */
function frame(index: number): Buffer {
	const bytes = Buffer.alloc(FRAME);
	bytes.writeInt32LE(2, 24);
	bytes.writeBigUInt64LE(r12Of(index), 72);
	bytes.writeBigUInt64LE(CODE + 0x800n, 160);
	bytes.writeBigUInt64LE(CODE, 168);
	bytes.writeBigUInt64LE(0x202n, 176);
	bytes.writeUInt16LE(0x33, 184);
	bytes.writeUInt16LE(0x2b, 190);
	bytes.writeBigUInt64LE(MASK, 296);
	return bytes;
}
