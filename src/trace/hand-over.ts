import type { Agent } from "../agent/agent.ts";
import { EVERY_BIT, type Label, label, type Slot, type SyscallBatch } from "../agent/batch.ts";
import { type Address, PAGE_SIZE, plus } from "../bytes/address.ts";
import { viewOf } from "../bytes/layout.ts";
import { EAGAIN, failedWith } from "../linux/errno.ts";
import { iovec, SPLICE_F_NONBLOCK } from "../linux/io.ts";
import { O } from "../linux/open.ts";
import { addInjectedCalls, type CallInRow } from "./inject.ts";
import { type Chunk, piecesIn } from "./page-chunks.ts";
import type { ProcessMemory } from "./process-memory.ts";
import { type LastStop, requireStopped } from "./stepping.ts";
import type { VictimThread } from "./victim-memory.ts";

/** Bytes: as much as anybody's pipe may hold (fs.pipe-max-size, pipe(7)). */
export const CAPACITY = 1 << 20;

/** Chunks of one request. With four times as many the first ones wait until they are put together. */
export const ROUNDS = 16;

/** Pages that one vmsplice(2) takes, at most, and bytes of what says which. */
const PIECES = piecesIn(CAPACITY);
const ROW = PIECES * iovec.size;

/** Bytes in the process that say which pages are meant: by turns, the next are put down while some are worked through. */
export const ROWS_SIZE = 2 * ROUNDS * ROW;

/** A pipe whose one end a stopped process has, and the other the agent. */
export interface SharedPipe {
	/** As the agent knows it. */
	readonly reading: bigint;
	/** As the process knows it. */
	readonly writing: number;
}

export interface HandedOver {
	/** How many chunks came through. */
	readonly whole: number;
	/** Nothing is left in the pipes: they can be used again. */
	readonly empty: boolean;
}

/** Where pages go through. */
export interface Passage {
	readonly agent: Agent;
	readonly caller: VictimThread;
	readonly memory: ProcessMemory;
	/** Used by turns: while the process fills one, the agent writes what is in the other. */
	readonly pipes: readonly [SharedPipe, SharedPipe];
	/** Bytes that each holds. */
	readonly capacity: number;
	/** {@link ROWS_SIZE} bytes of the process that are ours. */
	readonly rows: Address;
}

/** See PagePipe.handOver. */
export function handingOver(passage: Passage): (chunks: readonly Chunk[], file: bigint) => Promise<HandedOver> {
	const { agent, caller, memory, pipes, capacity, rows } = passage;
	/** As most requests are: full, with full chunks. They are put together once for a file. */
	const usual = new Map<Address, PageBatch>();
	let turn = 0;
	return async (chunks, file) => {
		const from = plus(rows, BigInt(turn * ROUNDS * ROW));
		turn = 1 - turn;
		memory.write(from, rowsOf(chunks));
		const lengths = chunks.map(({ length }) => length);
		const full = lengths.length === ROUNDS && lengths.every((length) => length === capacity);
		const known = full ? usual.get(from) : undefined;
		const pages = known?.file === file ? known : pageBatch(passage, lengths, from, file);
		if (full) usual.set(from, pages);
		const { batch, written, lastStop } = pages;
		const done = await agent.perform(batch, { doing: "writing pages" });
		requireStopped(done, lastStop, caller.leader.tid);
		const sum = (slots: readonly Slot[]): bigint => slots.reduce((all, slot) => all + done.result(slot), 0n);
		const whole = lengths.findIndex((length, round) => sum(written[round] ?? []) !== BigInt(length));
		if (whole < 0) return { whole: chunks.length, empty: true };
		return { whole, empty: await drain(agent, pipes) };
	};
}

/** Chunks of such lengths, from the process into a file. */
interface PageBatch {
	readonly batch: SyscallBatch;
	/** By chunk: what was written of it, in parts. */
	readonly written: readonly (readonly Slot[])[];
	readonly lastStop: LastStop;
	readonly file: bigint;
}

function pageBatch(
	{ agent, caller: { leader, syscallInstruction }, pipes }: Passage,
	lengths: readonly number[],
	from: Address,
	file: bigint,
): PageBatch {
	const batch = agent.batch();
	const written: Slot[][] = lengths.map(() => []);
	const pipeOf = (round: number): SharedPipe => pipes[round % 2 === 0 ? 0 : 1];
	/** Half of a chunk at a time, as there are two stops on the thread's way through a call. */
	const addWriting =
		(round: number, half: 0 | 1) =>
		(batch: SyscallBatch, out: Label): void => {
			const length = halvesOf(lengths[round] ?? 0)[half];
			if (length === 0) return;
			const count = batch.call("splice", pipeOf(round).reading, 0, file, 0, length, SPLICE_F_NONBLOCK);
			const whole = label("all of it");
			batch.branch({ valueOf: count }, EVERY_BIT, length, whole);
			batch.jump(out);
			batch.mark(whole);
			written[round]?.push(count);
		};
	const calls = lengths.map(
		(_, round): CallInRow => ({
			name: "vmsplice",
			args: [BigInt(pipeOf(round).writing), from + BigInt(round * ROW), BigInt(PIECES), BigInt(SPLICE_F_NONBLOCK)],
			meanwhile: [addWriting(round - 1, 0), addWriting(round - 1, 1)],
		}),
	);
	const { lastStop } = addInjectedCalls(batch, leader, syscallInstruction, calls, (batch, out) => {
		for (const half of [0, 1] as const) addWriting(lengths.length - 1, half)(batch, out);
	});
	return { batch, written, lastStop, file };
}

/** Whole pages. */
function halvesOf(length: number): readonly [number, number] {
	const first = Math.ceil(length / 2 / Number(PAGE_SIZE)) * Number(PAGE_SIZE);
	return [first, length - first];
}

/** Throws away what is left in pipes; false where that does not empty them. */
async function drain(agent: Agent, pipes: readonly SharedPipe[]): Promise<boolean> {
	const batch = agent.batch();
	const nowhere = { valueOf: batch.call("open", batch.put(Buffer.from("/dev/null\0")), O.WRONLY | O.CLOEXEC) };
	const empty = pipes.map(({ reading }) => {
		const flags = [CAPACITY, SPLICE_F_NONBLOCK] as const;
		batch.call("splice", reading, 0, nowhere, 0, ...flags);
		return batch.call("splice", reading, 0, nowhere, 0, ...flags);
	});
	batch.call("close", nowhere);
	const done = await agent.perform(batch, { doing: "emptying pipes" });
	return empty.every((again) => failedWith(done.result(again), EAGAIN));
}

/** What vmsplice(2) reads, a row for each chunk; unused pieces are empty. */
function rowsOf(chunks: readonly Chunk[]): Uint8Array {
	const bytes = new Uint8Array(chunks.length * ROW);
	const view = viewOf(bytes);
	for (const [i, { pieces }] of chunks.entries())
		for (const [j, { offset, length }] of pieces.entries())
			iovec.write(view, i * ROW + j * iovec.size, { iov_base: offset, iov_len: length });
	return bytes;
}
