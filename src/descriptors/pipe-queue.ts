import type { Extent } from "../bytes/extent.ts";
import { F } from "../linux/fcntl.ts";
import type { Arg } from "../program/args.ts";
import type { Workshop } from "./workshop.ts";

/** The queue behind pipes and FIFOs. */
export interface Pipe {
	/** Ends with equal ids belong together. */
	readonly id: number;
	/** Bytes it can hold (F_SETPIPE_SZ), where known. */
	readonly capacity?: number;
	/** What waits in it to be read. */
	readonly content?: Extent;
}

/** The images that have what waits in it. */
export const queueImages = ["pipes-data", "fifo-data"] as const;

export type QueueImage = (typeof queueImages)[number];

/** More than the kernel gives to anybody (fs/pipe.c). */
const USUAL_CAPACITY = 65536;

/** Gives it the room that it had, and what waited in it. */
export function fillPipe(
	{ add, actor, copy }: Workshop,
	{ id, capacity, content }: Pipe,
	end: Arg,
	kind: "pipe" | "fifo",
): void {
	if (capacity !== undefined && capacity > USUAL_CAPACITY) actor.asCaller();
	if (capacity !== undefined) add("fcntl", [end, BigInt(F.SETPIPE_SZ), BigInt(capacity)], `room in ${kind} ${id}`);
	if (content !== undefined) copy(content, end, `${kind} ${id}`);
}
