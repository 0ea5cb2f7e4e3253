import { array, layout, u32 } from "../../bytes/layout.ts";
import type { SocketPairEnd } from "../../forest/files.ts";
import { AF_UNIX, SOCK_STREAM } from "../../linux/io.ts";
import type { Place } from "../../program/args.ts";
import { spaceDatum } from "../../program/data.ts";
import { addCloseOnExec, addDuplicate, addStatusFlags, type FdAllocator } from "./fd-allocator.ts";
import type { FdSlot } from "./slots.ts";

/** What socketpair(2) fills; nobody reads it, since the numbers are known. */
const pairEnds = layout("socket pair", { fd: array(u32, 2) });

export interface SocketPairSlot extends FdSlot {
	readonly content: SocketPairEnd;
}

export interface SocketPairs {
	/** Gives its number to the end of a pair, whose turn it is. */
	place(slot: SocketPairSlot): void;
}

/** @param slots the first of each description, ascending. */
export function socketPairsOn(fds: FdAllocator, slots: readonly FdSlot[]): SocketPairs {
	const parked = new Map<string, Place>();
	const ends = slots.filter((slot): slot is SocketPairSlot => slot.content.kind === "socket-pair");

	/** Both ends are made at the turn of the first, and the other waits out of the way where it cannot stay. */
	const make = (slot: SocketPairSlot): void => {
		const { pair } = slot.content;
		const other = ends.find((end) => end.content.pair === pair && end.key !== slot.key);
		const [own, theirs] = [fds.nextFree(), fds.nextFree(1)];
		const both = spaceDatum(`ends of socket pair ${pair}`, pairEnds.size, 4);
		fds.add("socketpair", [BigInt(AF_UNIX), BigInt(SOCK_STREAM), 0n, both], `sockets ${pair}, connected`);
		if (other === undefined) fds.add("close", [BigInt(theirs)], `nobody had the other end of socket pair ${pair}`);
		else {
			addStatusFlags(fds, BigInt(theirs), 0, other.content.flags);
			parked.set(other.key, fds.setAside(theirs, `end of socket pair ${pair} for ${other.number}`));
		}
		addStatusFlags(fds, BigInt(own), 0, slot.content.flags);
		if (own === slot.number && slot.closeOnExec) addCloseOnExec(fds, own);
		fds.moveTo(own, slot.number, slot.closeOnExec);
	};

	return {
		place: (slot) => {
			const waiting = parked.get(slot.key);
			if (waiting === undefined) make(slot);
			else addDuplicate(fds, { valueOf: waiting }, slot.number, slot.closeOnExec, "to its number");
		},
	};
}
