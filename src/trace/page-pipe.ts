import type { Agent } from "../agent/agent.ts";
import type { SyscallBatch } from "../agent/batch.ts";
import { PAGE_SIZE, plus } from "../bytes/address.ts";
import { i32, viewOf } from "../bytes/layout.ts";
import { lengthOf } from "../bytes/range.ts";
import { F } from "../linux/fcntl.ts";
import { O } from "../linux/open.ts";
import { CAPACITY, type HandedOver, handingOver, ROUNDS, ROWS_SIZE } from "./hand-over.ts";
import { addInjectedCalls, type CallInRow, type InjectedCalls } from "./inject.ts";
import type { Chunk } from "./page-chunks.ts";
import type { ProcessMemory } from "./process-memory.ts";
import { requireStopped } from "./stepping.ts";
import { type AlsoUndone, mapInVictim, requireUnmapped, type VictimThread } from "./victim-memory.ts";

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

/** Bytes: with a smaller one (whose user has many: fs.pipe-user-pages-soft) the way to and fro takes longer than copying. */
const LEAST = CAPACITY / 2;

/** Closing it changes nothing. */
const NO_DESCRIPTOR = -1;

/** Both ends of two pipes, as pipe2(2) stores them. */
const NONE = [NO_DESCRIPTOR, NO_DESCRIPTOR, NO_DESCRIPTOR, NO_DESCRIPTOR] as const;

/**
 * Opens the pipes in a stopped process. Should we be gone, the agent takes them out.
 *
 * @param also What it is to undo besides, also when they are closed.
 * @returns `undefined` where the process may have no more memory or descriptors, or no pipes of a size that is worth it.
 * @throws NecromancerError ERR_PROCESS, ERR_HOST
 */
export async function openPagePipe(
	agent: Agent,
	caller: VictimThread,
	memory: ProcessMemory,
	also: AlsoUndone = () => {},
): Promise<PagePipe | undefined> {
	const { leader, syscallInstruction } = caller;
	const lent = await mapInVictim(agent, caller, PAGE_SIZE + BigInt(ROWS_SIZE), also);
	if (typeof lent === "bigint") return undefined;
	const unmap = { name: "munmap", args: [lent.start, lengthOf(lent)] } as const;
	const addClosing = (batch: SyscallBatch, ends: readonly number[]): InjectedCalls =>
		addInjectedCalls(batch, leader, syscallInstruction, [
			...ends.map((fd): CallInRow => ({ name: "close", args: [BigInt(fd)] })),
			unmap,
		]);

	memory.write(lent.start, new Uint8Array(Int32Array.from(NONE).buffer));
	const undo = agent.undoList();
	const { firsts } = addClosing(undo, NONE);
	also(undo);
	const batch = agent.batch();
	const pipes = [0, 1].map((i): CallInRow => {
		const place = (end: number) => plus(lent.start, BigInt((2 * i + end) * i32.size));
		const peeks = firsts.slice(2 * i, 2 * i + 2).map((to, end) => ({ from: place(end), to }));
		return { name: "pipe2", args: [place(0), BigInt(O.CLOEXEC)], peeks };
	});
	const { results, lastStop } = addInjectedCalls(batch, leader, syscallInstruction, pipes);
	const done = await agent.perform(batch, { doing: "making pipes", undo });
	requireStopped(done, lastStop, leader.tid);
	const made = results.every((result) => done.result(result) >= 0n);
	const size = NONE.length * i32.size;
	const look = viewOf(memory.peek(lent.start, size) ?? Buffer.alloc(size, 0xff));
	const ends = NONE.map((_, i) => i32.read(look, i * i32.size));
	const [reading0 = NO_DESCRIPTOR, writing0 = NO_DESCRIPTOR, reading1 = NO_DESCRIPTOR, writing1 = NO_DESCRIPTOR] = ends;
	const own = made ? await takeEnds(agent, leader.tid, reading0, reading1) : undefined;

	const addTakingOut = (batch: SyscallBatch): InjectedCalls => addClosing(batch, ends);
	const close = async (): Promise<void> => {
		const batch = agent.batch();
		for (const fd of own?.fds ?? []) batch.call("close", fd);
		const { results, lastStop } = addTakingOut(batch);
		const undo = agent.undoList();
		also(undo);
		const done = await agent.perform(batch, { doing: "taking pipes back", undo });
		requireStopped(done, lastStop, leader.tid);
		const last = results.at(-1);
		if (last !== undefined) requireUnmapped(leader.tid, lent, done.result(last));
	};
	if (own === undefined) {
		await close();
		return undefined;
	}

	const { fds, capacity } = own;
	const shared = [
		{ reading: fds[0], writing: writing0 },
		{ reading: fds[1], writing: writing1 },
	] as const;
	const rows = plus(lent.start, PAGE_SIZE);
	const handOver = handingOver({ agent, caller, memory, pipes: shared, capacity, rows });
	return { capacity, rounds: ROUNDS, handOver, addTakingOut, close };
}

/** The agent's own copies of ends that are read, as large as may be. */
async function takeEnds(
	agent: Agent,
	pid: number,
	...numbers: readonly [number, number]
): Promise<{ readonly fds: readonly [bigint, bigint]; readonly capacity: number } | undefined> {
	const batch = agent.batch();
	const pidfd = { valueOf: batch.call("pidfd_open", pid, 0) };
	const take = (number: number) => {
		const fd = batch.call("pidfd_getfd", pidfd, number, 0);
		batch.call("fcntl", { valueOf: fd }, F.SETPIPE_SZ, CAPACITY);
		return { fd, size: batch.call("fcntl", { valueOf: fd }, F.GETPIPE_SZ, 0) };
	};
	const [one, other] = [take(numbers[0]), take(numbers[1])];
	batch.call("close", pidfd);
	const done = await agent.perform(batch, { doing: "taking ends of pipes" });
	const fds = [done.result(one.fd), done.result(other.fd)] as const;
	const capacity = Math.min(CAPACITY, Number(done.result(one.size)), Number(done.result(other.size)));
	if (capacity >= LEAST) return { fds, capacity };
	for (const fd of fds) if (fd >= 0n) await agent.call("close", fd);
	return undefined;
}
