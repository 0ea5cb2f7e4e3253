import { array, layout, u32 } from "../bytes/layout.ts";
import { note } from "../finding.ts";
import { AF_UNIX, SOCK_STREAM } from "../linux/io.ts";
import { spaceDatum } from "../program/data.ts";
import type { DescriptionCommon } from "./description.ts";
import { reserved } from "./entries.ts";
import { commonOfGuess, type Guess, type StandIn, subjectOf } from "./guess.ts";
import type { DescriptorKind } from "./kind.ts";
import { addCloseOnExec, addDuplicate, addStatusFlags, type FdAllocator, type Slot } from "./steps.ts";

/** One of two connected unix stream sockets without names, of which the process has both, and in which nothing waits. */
export interface SocketPairEnd extends DescriptionCommon {
	readonly kind: "socket-pair";
	/** Ends with equal numbers belong together. */
	readonly pair: number;
}

/** It is what a core proves: neither images nor a living process tell it from other sockets. */
export const socketPair: DescriptorKind<SocketPairEnd> = {
	images: {
		types: [],
		from: () => {
			throw new RangeError("no entry is of a socket pair");
		},
		to: ({ id }, writer) => reserved(id, "one of a pair of unix sockets", writer),
	},
	living: { see: () => undefined },
	making: { unopenable: () => undefined, open: place },
	differs: () => undefined,
	shares: ({ pair }) => ({ of: "pairs", id: pair }),
};

/** What socketpair(2) fills; nobody reads it, since the numbers are known. */
const pairEnds = layout("socket pair", { fd: array(u32, 2) });

/** Both ends are made at the turn of the first, and the other waits out of the way where it cannot stay. */
function place(slot: Slot<SocketPairEnd>, fds: FdAllocator, own: readonly Slot<SocketPairEnd>[]): void {
	const { number, closeOnExec, content } = slot;
	const waiting = fds.asideFor(slot.key);
	if (waiting !== undefined) {
		addDuplicate(fds, { valueOf: waiting }, number, closeOnExec, "to its number");
		return;
	}
	const { pair } = content;
	const other = own.find((end) => end.content.pair === pair && end.key !== slot.key);
	const [ours, theirs] = [fds.nextFree(), fds.nextFree(1)];
	const both = spaceDatum(`ends of socket pair ${pair}`, pairEnds.size, 4);
	fds.add("socketpair", [BigInt(AF_UNIX), BigInt(SOCK_STREAM), 0n, both], `sockets ${pair}, connected`);
	if (other === undefined) fds.add("close", [BigInt(theirs)], `nobody had the other end of socket pair ${pair}`);
	else {
		addStatusFlags(fds, BigInt(theirs), 0, other.content.flags);
		fds.setAside(theirs, `end of socket pair ${pair} for ${other.number}`, other.key);
	}
	addStatusFlags(fds, BigInt(ours), 0, content.flags);
	if (ours === number && closeOnExec) addCloseOnExec(fds, ours);
	fds.moveTo(ours, number, closeOnExec);
}

/** One of a pair of connected sockets. */
export interface SocketGuess {
	readonly kind: "socket";
	readonly pair: number;
}

export const socketStandIn = (guess: Guess<SocketGuess>): StandIn<SocketPairEnd> => ({
	description: { ...commonOfGuess(guess), kind: "socket-pair", pair: guess.what.pair },
	finding: note("descriptor-deduced", subjectOf(guess), `one of a pair of unix sockets (${guess.why})`),
});
