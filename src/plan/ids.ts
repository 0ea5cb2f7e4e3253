import { type Address, hex, plus } from "../bytes/address.ts";
import { i32 } from "../bytes/layout.ts";
import { rangeAt } from "../bytes/range.ts";
import { caution, loss } from "../finding.ts";
import type { Task } from "../forest/task.ts";
import { holdsRobustMutexes, tidWordsOf } from "../forest/tid-words.ts";
import { iovec } from "../linux/io.ts";
import { PROT_WRITE } from "../linux/mman.ts";
import type { Arg, Place } from "../program/args.ts";
import { bytesDatum, cellDatum } from "../program/data.ts";
import type { StepOptions } from "../program/program.ts";
import type { ListDraft, Part, PartDraft } from "./part.ts";
import type { Stage } from "./plan.ts";

export interface IdPolicy {
	/** The process and its threads get whatever ids the kernel gives them, instead of those that they had. */
	readonly freshIds?: boolean;
}

/**
 * How steps name the process and its threads: by the ids that they had, which are known when the plan is made, or by cells
 * which receive those that the kernel gives. `tid` is always the old one; that of the process is that of its leader.
 */
export interface Ids {
	/** Each thread's cell, where the kernel chooses: its id as 64 bits from its first step on. */
	readonly cells: ReadonlyMap<number, Place>;
	/** The id as an argument. One that no thread of the process had is passed as it is. */
	arg(tid: number): Arg;
	/** For a step that returns the id of the thread that it is about. */
	returned(tid: number): StepOptions;
	/** For the step that makes a thread. */
	made(tid: number): StepOptions;
	/** What a thread does first: where the kernel chooses, it asks who it is. */
	introduce(list: ListDraft, stage: Stage, tid: number): void;
	/** Writes a new id into 32 bits of memory that holds the old one, if the process had that. */
	rewrite(list: ListDraft, stage: Stage, tid: number, at: Place | Address, why: string): void;
}

/** The ids that a process had. */
export const sameIds: Ids = {
	cells: new Map(),
	arg: BigInt,
	returned: (tid) => ({ expect: { exactly: BigInt(tid) } }),
	made: (tid) => ({ expect: { exactly: BigInt(tid) } }),
	introduce: () => {},
	rewrite: () => {},
};

/** Ids that the kernel will choose. */
export function freshIds({ identity: { pid }, threads }: Pick<Task, "identity" | "threads">): Ids {
	const cells = new Map(threads.map(({ tid }) => [tid, cellDatum(`new id of ${tid}`)]));
	const arg = (tid: number): Arg => {
		const cell = cells.get(tid);
		return cell === undefined ? BigInt(tid) : { valueOf: cell };
	};
	const made = (tid: number): StepOptions => {
		const save = cells.get(tid);
		return save === undefined ? {} : { save };
	};
	return {
		cells,
		arg,
		returned: () => ({}),
		made,
		introduce: (list, stage, tid) => list.add(stage, "gettid", [], `the id that ${tid} has now`, made(tid)),
		rewrite: (list, stage, tid, at, why) => {
			const cell = cells.get(tid);
			if (cell === undefined) return;
			const piece = { iov_base: 0n, iov_len: BigInt(i32.size) };
			const pointers = (to: Place) => ({ pointers: [{ at: iovec.offsetOf("iov_base"), to }] });
			const from = bytesDatum(`where the new id of ${tid} is`, iovec.encode(piece), pointers(cell));
			const to =
				typeof at === "bigint"
					? bytesDatum(`where ${tid} was written`, iovec.encode({ ...piece, iov_base: at }))
					: bytesDatum(`where ${tid} was written`, iovec.encode(piece), pointers(at));
			// a copy of exactly four bytes: what a step saves is eight
			list.add(stage, "process_vm_writev", [arg(pid), from, 1n, to, 1n, 0n], why, {
				expect: { exactly: BigInt(i32.size) },
			});
		},
	};
}

/**
 * Tells each thread's library the new id, before the thread runs an instruction of its own: pthread_kill(3), mutexes that
 * know their owner and thread_db go by it.
 */
export function addTidWords(
	list: ListDraft,
	task: Task,
	tid: number,
	{ draft, ids }: { draft: PartDraft; ids: Ids },
): void {
	const thread = task.threads.find((candidate) => candidate.tid === tid);
	if (thread === undefined || !ids.cells.has(tid)) return;
	const subject = `thread ${tid}`;
	// guards lie inside other mappings
	const mappings = task.memory.mappings.filter(({ backing }) => backing.kind !== "guard");
	const words = tidWordsOf(thread, task.memory).filter((at) => {
		const writable = [at, plus(at, BigInt(i32.size - 1))].every(
			(byte) => ((rangeAt(mappings, byte)?.prot ?? 0) & PROT_WRITE) !== 0,
		);
		if (!writable)
			draft.report(
				caution(
					"ids",
					subject,
					`is said to keep its id at ${hex(at)}, which cannot be written to; it keeps the old one there`,
				),
			);
		return writable;
	});
	for (const at of words) ids.rewrite(list, "threads", tid, at, "its thread library's note of its id");
	if (words.length === 0)
		draft.report(
			caution(
				"ids",
				subject,
				"gets a new id, and where its thread library keeps it is not known; what goes by it there may fail",
			),
		);
	if (holdsRobustMutexes(thread, task.memory))
		draft.report(loss("ids", subject, "held robust mutexes, which name it by its old id; it cannot unlock them"));
}

/** What no plan can find out, said once. */
export function reportFreshIds(
	{ identity: { pid } }: Pick<Task, "identity">,
	{ draft, ids }: { draft: PartDraft; ids: Ids },
): Part {
	if (ids.cells.size === 0) return draft.made();
	draft.report(
		caution(
			"ids",
			`process ${pid}`,
			"and its threads get new ids; where it wrote the old ones down (pid files, locks with an owner) they stay",
		),
	);
	return draft.made();
}
