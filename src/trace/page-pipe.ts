import type { Agent } from "../agent/agent.ts";
import { EVERY_BIT, type Label, label, type Slot, type SyscallBatch } from "../agent/batch.ts";
import { type Address, PAGE_SIZE, plus } from "../bytes/address.ts";
import { i32, viewOf } from "../bytes/layout.ts";
import { lengthOf } from "../bytes/range.ts";
import { EAGAIN, failedWith } from "../linux/errno.ts";
import { F } from "../linux/fcntl.ts";
import { iovec, SPLICE_F_NONBLOCK } from "../linux/io.ts";
import { O } from "../linux/open.ts";
import { addInjectedCalls, type CallInRow, type InjectedCalls } from "./inject.ts";
import { type Chunk, piecesIn } from "./page-chunks.ts";
import type { ProcessMemory } from "./process-memory.ts";
import { type LastStop, requireStopped } from "./stepping.ts";
import { mapInVictim, requireUnmapped, type VictimThread } from "./victim-memory.ts";

/**
 * Two pipes in a stopped process, by which its pages come to a file without being copied twice: it hands them over by reference
 * (vmsplice(2)), and the agent writes them (splice(2)). While it hands over into one, the agent writes what is in the other, so
 * that neither waits for the other. Nothing of ours but the pipes is ever in its hands: who shares its user could take any file
 * out of them (pidfd_getfd(2)). Whoever takes a pipe can spoil the pages, as he could before by writing to them; he can hold up
 * nobody, as no end waits.
 */
export interface PagePipe {
	/** Bytes that each holds at a time, whole pages. */
	readonly capacity: number;
	/** Chunks that are handed over in one request, at most. */
	readonly rounds: number;
	/**
	 * Appends direct chunks to a file, up to the first that does not come through whole. The next may be handed over before it is
	 * known how many did; what comes of those is worth nothing unless all of these came through.
	 *
	 * @param file A descriptor of the agent.
	 * @throws NecromancerError ERR_PROCESS, ERR_HOST
	 */
	handOver(chunks: readonly Chunk[], file: bigint): Promise<HandedOver>;
	/** Adds to an undo list that they are taken out. */
	readonly addTakingOut: (undo: SyscallBatch) => void;
	/** Takes them out of the process again. @throws NecromancerError ERR_PROCESS, ERR_HOST */
	close(): Promise<void>;
}

export interface HandedOver {
	/** How many chunks came through. */
	readonly whole: number;
	/** Nothing is left in the pipes: they can be used again. */
	readonly empty: boolean;
}

/** Bytes: as much as anybody's pipe may hold (fs.pipe-max-size, pipe(7)). */
const CAPACITY = 1 << 20;

/** Bytes: with a smaller one (whose user has many: fs.pipe-user-pages-soft) the way to and fro takes longer than copying. */
const LEAST = CAPACITY / 2;

/** Times that a pipe is filled and emptied in one request: what a batch has room for. */
const ROUNDS = 64;

/** Closing it changes nothing. */
const NO_DESCRIPTOR = -1;

/** By turns. */
const PIPES = 2;

/**
 * Opens the pipes in a stopped process. Should we be gone, the agent takes them out.
 *
 * @returns `undefined` where the process may have no more memory or descriptors, or no pipes of a size that is worth it.
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
	const lent = await mapInVictim(agent, caller, PAGE_SIZE + BigInt(2 * ROUNDS * row));
	if (typeof lent === "bigint") return undefined;
	const unmap = { name: "munmap", args: [lent.start, lengthOf(lent)] } as const;
	const addClosing = (batch: SyscallBatch, ends: readonly number[]): InjectedCalls =>
		addInjectedCalls(batch, leader, syscallInstruction, [
			...ends.map((fd): CallInRow => ({ name: "close", args: [BigInt(fd)] })),
			unmap,
		]);

	/** Both ends of each, as the process knows them. */
	const pairs = Array.from({ length: PIPES }, (_, i) => plus(lent.start, BigInt(i * PAIR)));
	const none = pairs.flatMap(() => [NO_DESCRIPTOR, NO_DESCRIPTOR]);
	memory.write(lent.start, new Uint8Array(Int32Array.from(none).buffer));
	const undo = agent.undoList();
	const { firsts } = addClosing(undo, none);
	const making = agent.batch();
	const { results: made, lastStop: whenMade } = addInjectedCalls(
		making,
		leader,
		syscallInstruction,
		pairs.map((at, i) => ({
			name: "pipe2",
			args: [at, BigInt(O.CLOEXEC)],
			peeks: firsts.slice(2 * i, 2 * i + 2).map((to, j) => ({ from: plus(at, BigInt(j * i32.size)), to })),
		})),
	);
	const begun = await agent.perform(making, { doing: "making pipes", undo });
	requireStopped(begun, whenMade, leader.tid);
	const look = viewOf(memory.peek(lent.start, PIPES * PAIR) ?? Buffer.alloc(PIPES * PAIR, 0xff));
	const ends = none.map((_, i) => i32.read(look, i * i32.size));
	const reading = ends.filter((_, i) => i % 2 === 0);
	const own = made.every((result) => begun.result(result) >= 0n)
		? await takeEnds(agent, leader.tid, reading)
		: undefined;

	const addTakingOut = (batch: SyscallBatch): InjectedCalls => addClosing(batch, ends);
	const close = async (): Promise<void> => {
		for (const fd of own?.fds ?? []) await agent.call("close", fd);
		const batch = agent.batch();
		const { results, lastStop } = addTakingOut(batch);
		const done = await agent.perform(batch, { doing: "taking pipes back", undo: undefined });
		requireStopped(done, lastStop, leader.tid);
		const last = results.at(-1);
		if (last !== undefined) requireUnmapped(leader.tid, lent, done.result(last));
	};
	if (own === undefined) {
		await close();
		return undefined;
	}

	const { fds, capacity } = own;
	const writing = ends.filter((_, i) => i % 2 === 1);
	const rows = plus(lent.start, PAGE_SIZE);
	/** Rows are put down by turns: the next while one is worked through. */
	let turn = 0;
	const handing = (file: bigint, lengths: readonly number[], from: Address): Handing => {
		const batch = agent.batch();
		const written: Slot[][] = lengths.map(() => []);
		/** Half of a chunk at a time, as there are two stops on the thread's way through a call. */
		const addWriting =
			(round: number, half: 0 | 1) =>
			(batch: SyscallBatch, out: Label): void => {
				const length = halvesOf(lengths[round] ?? 0)[half];
				const fd = fds[round % PIPES];
				if (length === 0 || fd === undefined) return;
				const count = batch.call("splice", fd, 0, file, 0, length, SPLICE_F_NONBLOCK);
				const whole = label("all of it");
				batch.branch({ valueOf: count }, EVERY_BIT, length, whole);
				batch.jump(out);
				batch.mark(whole);
				written[round]?.push(count);
			};
		const calls = lengths.map((_, round): CallInRow => {
			const args = [writing[round % PIPES] ?? NO_DESCRIPTOR, from + BigInt(round * row), pieces, SPLICE_F_NONBLOCK];
			return {
				name: "vmsplice",
				args: args.map(BigInt),
				meanwhile: [addWriting(round - 1, 0), addWriting(round - 1, 1)],
			};
		});
		const { lastStop } = addInjectedCalls(batch, leader, syscallInstruction, calls, (batch, out) => {
			for (const half of [0, 1] as const) addWriting(lengths.length - 1, half)(batch, out);
		});
		return { batch, written, lastStop, file };
	};
	/** As most requests are: full, with full chunks. They are put together once for a file. */
	const usual = new Map<Address, Handing>();
	return {
		capacity,
		rounds: ROUNDS,
		handOver: async (chunks, file) => {
			const from = plus(rows, BigInt(turn * ROUNDS * row));
			turn = 1 - turn;
			memory.write(from, rowsOf(chunks, row));
			const lengths = chunks.map(({ length }) => length);
			const full = lengths.length === ROUNDS && lengths.every((length) => length === capacity);
			const known = full ? usual.get(from) : undefined;
			const handed = known?.file === file ? known : handing(file, lengths, from);
			if (full) usual.set(from, handed);
			const { batch, written, lastStop } = handed;
			const done = await agent.perform(batch, { doing: "writing pages" });
			requireStopped(done, lastStop, leader.tid);
			const sum = (slots: readonly Slot[]): bigint => slots.reduce((all, slot) => all + done.result(slot), 0n);
			const whole = lengths.findIndex((length, round) => sum(written[round] ?? []) !== BigInt(length));
			if (whole < 0) return { whole: chunks.length, empty: true };
			return { whole, empty: await drain(agent, fds) };
		},
		addTakingOut,
		close,
	};
}

interface Handing {
	readonly batch: SyscallBatch;
	/** By chunk: what was written of it, in parts. */
	readonly written: readonly (readonly Slot[])[];
	readonly lastStop: LastStop;
	readonly file: bigint;
}

/** Bytes: what pipe2(2) stores. */
const PAIR = 2 * i32.size;

/** Whole pages. */
function halvesOf(length: number): readonly [number, number] {
	const first = Math.ceil(length / 2 / Number(PAGE_SIZE)) * Number(PAGE_SIZE);
	return [first, length - first];
}

/** One after the other, as long as they come out well. */
async function inTurn<T>(items: readonly T[], attempt: (item: T, i: number) => Promise<boolean>): Promise<boolean> {
	for (const [i, item] of items.entries()) if (!(await attempt(item, i))) return false;
	return true;
}

/** Throws away what is left in pipes; false where that does not empty them. */
async function drain(agent: Agent, fds: readonly bigint[]): Promise<boolean> {
	const nowhere = await agent.call("open", Buffer.from("/dev/null\0"), O.WRONLY | O.CLOEXEC);
	if (nowhere < 0n) return false;
	const empty = await inTurn(fds, async (fd) => {
		await agent.call("splice", fd, 0, nowhere, 0, CAPACITY, SPLICE_F_NONBLOCK);
		return failedWith(await agent.call("splice", fd, 0, nowhere, 0, CAPACITY, SPLICE_F_NONBLOCK), EAGAIN);
	});
	await agent.call("close", nowhere);
	return empty;
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

/** The agent's own copies of ends that are read, as large as may be. */
async function takeEnds(
	agent: Agent,
	pid: number,
	numbers: readonly number[],
): Promise<{ readonly fds: readonly bigint[]; readonly capacity: number } | undefined> {
	const batch = agent.batch();
	const pidfd = { valueOf: batch.call("pidfd_open", pid, 0) };
	const taken = numbers.map((number) => {
		const fd = batch.call("pidfd_getfd", pidfd, number, 0);
		batch.call("fcntl", { valueOf: fd }, F.SETPIPE_SZ, CAPACITY);
		return { fd, size: batch.call("fcntl", { valueOf: fd }, F.GETPIPE_SZ, 0) };
	});
	batch.call("close", pidfd);
	const done = await agent.perform(batch, { doing: "taking ends of pipes" });
	const fds = taken.map(({ fd }) => done.result(fd));
	const capacity = Math.min(CAPACITY, ...taken.map(({ size }) => Number(done.result(size))));
	if (capacity >= LEAST) return { fds, capacity };
	for (const fd of fds) if (fd >= 0n) await agent.call("close", fd);
	return undefined;
}
