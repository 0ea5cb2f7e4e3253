import { type Address, PAGE_SIZE, plus } from "../bytes/address.ts";
import { lengthOf, type Range } from "../bytes/range.ts";
import { AGENT_ROOM, stepLayout } from "../program/abi.ts";
import { DO_END } from "../program/calls.ts";
import type { Blob } from "./blob.ts";

export { AGENT_ROOM };

/** What lies where in the beginning of a hole. */
export interface AgentLayout {
	/** {@link blobPage} */
	readonly blob: Address;
	/** A list of no steps, at the end of the blob's page. */
	readonly nothing: Address;
	/** A stack for processes that the agent makes: each has a copy of its own. */
	readonly stack: Range;
	/** Requests of the agent: what the calls of one refer to, and the calls. Overwritten by the next. */
	readonly batches: Range;
	/** Two places for undo lists, used alternately: the next is written while the previous one is still in force. */
	readonly undo: readonly [Range, Range];
	/** The rest of the hole. */
	readonly free: Range;
}

/** @param hole Page aligned, longer than {@link AGENT_ROOM}. */
export function agentLayout(hole: Range): AgentLayout {
	if (lengthOf(hole) <= AGENT_ROOM) throw new RangeError(`a hole of ${lengthOf(hole)} bytes has no room for an agent`);
	const page = (number: bigint): Address => plus(hole.start, number * PAGE_SIZE);
	const end = plus(hole.start, AGENT_ROOM);
	return {
		blob: page(0n),
		nothing: plus(page(1n), -BigInt(stepLayout.size)),
		stack: { start: page(1n), end: page(3n) },
		batches: { start: page(3n), end: plus(end, -2n * UNDO_SIZE) },
		undo: [
			{ start: plus(end, -2n * UNDO_SIZE), end: plus(end, -UNDO_SIZE) },
			{ start: plus(end, -UNDO_SIZE), end },
		],
		free: { start: end, end: hole.end },
	};
}

/** Bytes of an undo list. */
export const UNDO_SIZE = 6n * PAGE_SIZE;

/** The page that the agent runs on: the blob at its start, a list of no steps at its end. */
export function blobPage({ bytes }: Blob): Buffer {
	const page = Buffer.alloc(Number(PAGE_SIZE));
	const end = page.length - stepLayout.size;
	if (bytes.length > end) throw new RangeError(`a blob of ${bytes.length} bytes, more than ${end}`);
	page.set(bytes);
	page.set(stepLayout.encode({ call: DO_END, indirect: 0, expect: 0, id: 0, arg: [], want: 0n, store: 0n }), end);
	return page;
}
