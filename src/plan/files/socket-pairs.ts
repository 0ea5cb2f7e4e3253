import { array, layout, u32 } from "../../bytes/layout.ts";
import { AF_UNIX, SOCK_STREAM } from "../../linux/socket.ts";
import type { Place } from "../../program/program.ts";
import type { SocketPairEnd } from "../../task/files.ts";
import { addCloseOnExec, addDuplicate, addStatusFlags, type Desk } from "./fd-allocator.ts";
import type { Slot } from "./slots.ts";

/** What socketpair(2) fills; nobody reads it, since the numbers are known. */
const pairEnds = layout("socket pair", { fd: array(u32, 2) });

export interface SocketPairSlot extends Slot {
	readonly content: SocketPairEnd;
}

export interface SocketPairs {
	/** Gives its number to the end of a pair, whose turn it is. */
	place(slot: SocketPairSlot): void;
}

/** @param slots the first of each description, ascending. */
export function socketPairsOn(desk: Desk, slots: readonly Slot[]): SocketPairs {
	const parked = new Map<string, Place>();
	const ends = slots.filter((slot): slot is SocketPairSlot => slot.content.kind === "socket-pair");

	/** Both ends are made at the turn of the first, and the other waits out of the way where it cannot stay. */
	const make = (slot: SocketPairSlot): void => {
		const { pair } = slot.content;
		const other = ends.find((end) => end.content.pair === pair && end.key !== slot.key);
		const [own, theirs] = [desk.landing(), desk.landing(1)];
		const both = desk.around.draft.space(`ends of socket pair ${pair}`, pairEnds.size, 4);
		desk.add("socketpair", [BigInt(AF_UNIX), BigInt(SOCK_STREAM), 0n, both], `sockets ${pair}, connected`);
		if (other === undefined) desk.add("close", [BigInt(theirs)], `nobody had the other end of socket pair ${pair}`);
		else {
			addStatusFlags(desk, BigInt(theirs), 0, other.content.flags);
			parked.set(other.key, desk.park(theirs, `end of socket pair ${pair} for ${other.number}`));
		}
		addStatusFlags(desk, BigInt(own), 0, slot.content.flags);
		if (own === slot.number && slot.closeOnExec) addCloseOnExec(desk, own);
		desk.settle(own, slot.number, slot.closeOnExec);
	};

	return {
		place: (slot) => {
			const waiting = parked.get(slot.key);
			if (waiting === undefined) make(slot);
			else addDuplicate(desk, { valueOf: waiting }, slot.number, slot.closeOnExec, "to its number");
		},
	};
}
