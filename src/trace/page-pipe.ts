import type { Agent } from "../agent/agent.ts";
import { EVERY_BIT, label, type Slot, type SyscallBatch } from "../agent/batch.ts";
import { PAGE_SIZE, plus } from "../bytes/address.ts";
import { i32, viewOf } from "../bytes/layout.ts";
import { lengthOf } from "../bytes/range.ts";
import { EAGAIN } from "../linux/errno.ts";
import { F } from "../linux/fcntl.ts";
import { O } from "../linux/open.ts";
import { SPLICE_F_NONBLOCK } from "../linux/pipe.ts";
import { iovec } from "../linux/uio.ts";
import { addInjectedCalls, type CallInRow, type InjectedCall, injectCall } from "./inject.ts";
import { type Chunk, piecesIn } from "./page-chunks.ts";
import type { ProcessMemory } from "./process-memory.ts";
import { type LastStop, requireStopped } from "./stepping.ts";
import { mapInVictim, requireUnmapped, unmapInVictim, type VictimThread } from "./victim-memory.ts";

/**
 * A pipe in a stopped process, by which its pages come to a file without being copied twice: it hands them over by reference
 * (vmsplice(2)), and the agent writes them (splice(2)). Nothing of ours but the pipe is ever in its hands: who shares its user
 * could take any file out of them (pidfd_getfd(2)). Whoever takes the pipe can spoil the pages, as he could before by
 * writing to them; he can hold up nobody, as neither end waits.
 */
export interface PagePipe {
	/** Bytes that it holds at a time, whole pages. */
	readonly capacity: number;
	/** Chunks that are handed over in one request, at most. */
	readonly rounds: number;
	/**
	 * Appends direct chunks to a file, up to the first that does not come through whole.
	 *
	 * @param file A descriptor of the agent.
	 * @throws NecromancerError ERR_PROCESS, ERR_HOST
	 */
	handOver(chunks: readonly Chunk[], file: bigint): Promise<HandedOver>;
	/** Adds to an undo list that it is taken out. */
	readonly addTakingOut: (undo: SyscallBatch) => void;
	/** Takes it out of the process again. @throws NecromancerError ERR_PROCESS, ERR_HOST */
	close(): Promise<void>;
}

export interface HandedOver {
	/** How many chunks came through. */
	readonly whole: number;
	/** Nothing is left in the pipe: it can be used again. */
	readonly empty: boolean;
}

/** Bytes: as much as anybody's pipe may hold (fs.pipe-max-size, pipe(7)). */
const CAPACITY = 1 << 20;

/** Bytes: with a smaller one (whose user has many: fs.pipe-user-pages-soft) the way to and fro takes longer than copying. */
const LEAST = CAPACITY / 2;

/** Times that the pipe is filled and emptied in one request: what a batch has room for. */
const ROUNDS = 64;

/** Closing it changes nothing. */
const NO_DESCRIPTOR = -1;

/**
 * Opens a pipe in a stopped process. Should we be gone, the agent takes it out.
 *
 * @returns `undefined` where the process may have no more memory or descriptors, or no pipe of a size that is worth it.
 * @throws NecromancerError ERR_PROCESS, ERR_HOST
 */
export async function openPagePipe(
	agent: Agent,
	caller: VictimThread,
	memory: ProcessMemory,
): Promise<PagePipe | undefined> {
	const { leader, syscallInstruction } = caller;
	const pieces = piecesIn(CAPACITY);
	const row = pieces * iovec.size;
	const lent = await mapInVictim(agent, caller, PAGE_SIZE + BigInt(ROUNDS * row));
	if (typeof lent === "bigint") return undefined;
	memory.write(lent.start, new Uint8Array(Int32Array.of(NO_DESCRIPTOR, NO_DESCRIPTOR, 0, 0).buffer));

	const undo = agent.undoList();
	const unmap = { name: "munmap", args: [lent.start, lengthOf(lent)] } as const;
	const closing = (fd: number): CallInRow => ({ name: "close", args: [BigInt(fd)] });
	const { firsts } = addInjectedCalls(undo, leader, syscallInstruction, [
		closing(NO_DESCRIPTOR),
		closing(NO_DESCRIPTOR),
		unmap,
	]);
	const peeks = firsts.slice(0, 2).map((to, i) => ({ from: plus(lent.start, BigInt(i * i32.size)), to }));
	const call: InjectedCall = { name: "pipe2", args: [lent.start, BigInt(O.CLOEXEC)], peeks };
	if ((await injectCall(agent, leader, syscallInstruction, call, { undo })) < 0n) {
		await unmapInVictim(agent, caller, lent);
		return undefined;
	}
	const ends = viewOf(memory.peek(lent.start, 2 * i32.size) ?? Buffer.alloc(2 * i32.size, 0xff));
	const [reading, writing] = [i32.read(ends, 0), i32.read(ends, i32.size)];
	const own = await takeEnd(agent, leader.tid, reading);

	const addTakingOut = (batch: SyscallBatch) =>
		addInjectedCalls(batch, leader, syscallInstruction, [closing(reading), closing(writing), unmap]);
	const close = async (): Promise<void> => {
		if (own !== undefined) await agent.call("close", own.fd);
		const batch = agent.batch();
		const { results, lastStop } = addTakingOut(batch);
		const done = await agent.perform(batch, { doing: "taking a pipe back", undo: undefined });
		requireStopped(done, lastStop, leader.tid);
		const last = results.at(-1);
		if (last !== undefined) requireUnmapped(leader.tid, lent, done.result(last));
	};
	if (own === undefined) {
		await close();
		return undefined;
	}

	const rows = plus(lent.start, PAGE_SIZE);
	const handing = (file: bigint, lengths: readonly number[]): Handing => {
		const batch = agent.batch();
		const written: Slot[] = [];
		const calls = lengths.map(
			(length, i): CallInRow => ({
				name: "vmsplice",
				args: [BigInt(writing), rows + BigInt(i * row), BigInt(pieces), BigInt(SPLICE_F_NONBLOCK)],
				after: (batch, out) => {
					const all = batch.call("splice", own.fd, 0, file, 0, length, SPLICE_F_NONBLOCK);
					const whole = label("all of it");
					batch.branch({ valueOf: all }, EVERY_BIT, length, whole);
					batch.jump(out);
					batch.mark(whole);
					written.push(all);
				},
			}),
		);
		const { results: given, lastStop } = addInjectedCalls(batch, leader, syscallInstruction, calls);
		return { batch, given, written, lastStop, file };
	};
	/** As most requests are: full, with full chunks. It is put together once for a file. */
	let usual: Handing | undefined;
	return {
		capacity: own.capacity,
		rounds: ROUNDS,
		handOver: async (chunks, file) => {
			memory.write(rows, rowsOf(chunks, row));
			const lengths = chunks.map(({ length }) => length);
			const full = lengths.length === ROUNDS && lengths.every((length) => length === own.capacity);
			if (full && usual?.file !== file) usual = handing(file, lengths);
			const { batch, given, written, lastStop } = full && usual !== undefined ? usual : handing(file, lengths);
			const done = await agent.perform(batch, { doing: "writing pages" });
			requireStopped(done, lastStop, leader.tid);
			const whole = written.findIndex((slot, i) => done.result(slot) !== BigInt(lengths[i] ?? 0));
			const [from, to] = [given[whole], written[whole]];
			if (from === undefined || to === undefined) return { whole: chunks.length, empty: true };
			const [there, here] = [done.result(from), done.result(to)];
			return { whole, empty: there > 0n ? here === there : here === -BigInt(EAGAIN) };
		},
		addTakingOut,
		close,
	};
}

interface Handing {
	readonly batch: SyscallBatch;
	/** What the process gave into the pipe, and what was written of it. */
	readonly given: readonly Slot[];
	readonly written: readonly Slot[];
	readonly lastStop: LastStop;
	readonly file: bigint;
}

/** What vmsplice(2) reads, a row for each chunk; unused pieces are empty. */
function rowsOf(chunks: readonly Chunk[], row: number): Uint8Array {
	const bytes = new Uint8Array(chunks.length * row);
	const view = viewOf(bytes);
	for (const [i, { pieces }] of chunks.entries())
		for (const [j, { offset, length }] of pieces.entries())
			iovec.write(view, i * row + j * iovec.size, { iov_base: offset, iov_len: length });
	return bytes;
}

/** The agent's own copy of the end that is read, as large as may be. */
async function takeEnd(
	agent: Agent,
	pid: number,
	number: number,
): Promise<{ readonly fd: bigint; readonly capacity: number } | undefined> {
	const pidfd = await agent.call("pidfd_open", pid, 0);
	const fd = await agent.call("pidfd_getfd", pidfd, number, 0);
	await agent.call("close", pidfd);
	if (fd < 0n) return undefined;
	await agent.call("fcntl", fd, F.SETPIPE_SZ, CAPACITY);
	const size = Number(await agent.call("fcntl", fd, F.GETPIPE_SZ, 0));
	if (size >= LEAST) return { fd, capacity: Math.min(size, CAPACITY) };
	await agent.call("close", fd);
	return undefined;
}
