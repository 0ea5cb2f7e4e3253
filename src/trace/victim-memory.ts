import type { Agent } from "../agent/agent.ts";
import type { SyscallBatch } from "../agent/batch.ts";
import { type Address, address, hex, isPageAligned } from "../bytes/address.ts";
import { lengthOf, type Range } from "../bytes/range.ts";
import { refuse } from "../errors.ts";
import { errnoName } from "../linux/errno.ts";
import { MAP, PROT_READ, PROT_WRITE } from "../linux/mman.ts";
import { addInjectedUnmap, injectCall, type StoppedThread } from "./inject.ts";

/** A stopped thread that calls are injected into, and a `syscall` instruction of its process. */
export interface VictimThread {
	readonly leader: StoppedThread;
	readonly syscallInstruction: Address;
}

/** mmap(2) flags of anonymous memory, not charged until it is touched. */
export const FRESH = MAP.PRIVATE | MAP.ANONYMOUS | MAP.NORESERVE;

/** Adds to an undo list what else is to be undone, behind what is its own. */
export type AlsoUndone = (undo: SyscallBatch) => void;

/**
 * Maps read-write memory in a stopped process. The same batch registers an undo list that unmaps it.
 *
 * @param length Bytes, whole pages.
 * @returns -errno where it may not be mapped.
 */
export async function mapInVictim(
	agent: Agent,
	{ leader, syscallInstruction }: VictimThread,
	length: bigint,
	also: AlsoUndone = () => {},
): Promise<Range | bigint> {
	const undo = agent.undoList();
	const start = addInjectedUnmap(undo, leader, syscallInstruction, length);
	also(undo);
	const args = [0n, length, BigInt(PROT_READ | PROT_WRITE), BigInt(FRESH), -1n, 0n] as const;
	const at = await injectCall(agent, leader, syscallInstruction, { name: "mmap", args, copies: [start] }, { undo });
	if (at < 0n || !isPageAligned(at)) return at;
	return { start: address(at), end: address(at + length) };
}

/**
 * Unmaps it again, in the batch that clears the undo list too.
 *
 * @throws NecromancerError ERR_HOST where the process keeps it.
 */
export async function unmapInVictim(
	agent: Agent,
	{ leader, syscallInstruction }: VictimThread,
	lent: Range,
): Promise<void> {
	const call = { name: "munmap", args: [lent.start, lengthOf(lent)] } as const;
	requireUnmapped(leader.tid, lent, await injectCall(agent, leader, syscallInstruction, call, { undo: undefined }));
}

/** @throws NecromancerError ERR_HOST */
export function requireUnmapped(pid: number, { start, end }: Range, result: bigint): void {
	if (result >= 0n) return;
	refuse("ERR_HOST", {
		subject: `process ${pid}`,
		finding: `munmap of ${hex(start)} to ${hex(end)} failed with ${errnoName(Number(result))}`,
		expectation: "expected our own memory to go; it stays in the process, unused",
	});
}
