import { lengthOf } from "../bytes/range.ts";
import type { Agent, Performed } from "./agent.ts";
import type { SyscallBatch } from "./batch.ts";

/** Items that one request deals with. */
const AT_ONCE = 256;

/** What is done with each of many items. */
export interface Batched<I, T> {
	/** For messages: `reading registers`. */
	readonly doing: string;
	/** Milliseconds for one request. */
	readonly patience: number;
	/** Adds the calls for one item to a batch. */
	add(batch: SyscallBatch, item: I): T;
	/** Adds what is to come after those of all items of the batch. */
	after?(batch: SyscallBatch, item: I): void;
	/** Reads what came of an item. */
	read(done: Performed, added: T, item: I): void;
}

/** Does the same with each of many items, in as few requests as fit. */
export async function inBatches<I, T>(
	agent: Agent,
	items: readonly I[],
	{ doing, patience, add, after, read }: Batched<I, T>,
): Promise<void> {
	const enough = Number(lengthOf(agent.layout.batches)) / 4;
	for (let from = 0; from < items.length; ) {
		const batch = agent.batch();
		const chunk: (readonly [I, T])[] = [];
		for (const item of items.slice(from, from + AT_ONCE)) {
			chunk.push([item, add(batch, item)]);
			if (batch.taken > enough) break;
		}
		for (const [item] of chunk) after?.(batch, item);
		const done = await agent.perform(batch, { patience, doing });
		for (const [item, added] of chunk) read(done, added, item);
		from += chunk.length;
	}
}
