import { lengthOf } from "../bytes/range.ts";
import type { Agent, Performed } from "./agent.ts";
import type { Errand } from "./batch.ts";

/** Items that one request deals with. */
const AT_ONCE = 256;

/** What is done with each of many items. */
export interface Batched<I, T> {
	/** For messages: `reading registers`. */
	readonly doing: string;
	/** Milliseconds for one request. */
	readonly patience: number;
	/** Adds the calls for one item to an errand. */
	add(errand: Errand, item: I): T;
	/** Adds what is to come after those of all items of the errand. */
	after?(errand: Errand, item: I): void;
	/** Reads what came of an item. */
	read(done: Performed, added: T, item: I): void;
}

/** Does the same with each of many items, in as few requests as fit. */
export async function inBatches<I, T>(
	agent: Agent,
	items: readonly I[],
	{ doing, patience, add, after, read }: Batched<I, T>,
): Promise<void> {
	const room = Number(lengthOf(agent.room.errands)) / 4;
	for (let from = 0; from < items.length; ) {
		const errand = agent.errand();
		const batch: (readonly [I, T])[] = [];
		for (const item of items.slice(from, from + AT_ONCE)) {
			batch.push([item, add(errand, item)]);
			if (errand.taken > room) break;
		}
		for (const [item] of batch) after?.(errand, item);
		const done = await agent.perform(errand, { patience, doing });
		for (const [item, added] of batch) read(done, added, item);
		from += batch.length;
	}
}
