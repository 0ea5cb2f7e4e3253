import type { Extent } from "../bytes/extent.ts";
import { type EpollGuess, epollStandIn } from "./epoll.ts";
import { type EventfdGuess, eventfdStandIn } from "./eventfd.ts";
import type { Guess, StandIn } from "./guess.ts";
import type { Description } from "./kinds.ts";
import { type EndGuess, endStandIn, type SilenceGuess, silenceStandIn } from "./pipe.ts";
import { type SocketGuess, socketStandIn } from "./socket-pair.ts";

export type GuessedKind = EpollGuess | EventfdGuess | EndGuess | SocketGuess | SilenceGuess;

export type DescriptorGuess = Guess<GuessedKind>;

const standIns: {
	readonly [K in GuessedKind["kind"]]: (
		guess: Guess<Extract<GuessedKind, { readonly kind: K }>>,
		anyByte: Extent | undefined,
	) => StandIn<Description>;
} = {
	epoll: epollStandIn,
	eventfd: eventfdStandIn,
	end: endStandIn,
	socket: socketStandIn,
	silence: silenceStandIn,
};

/**
 * What takes the place of a descriptor of which a core proves no more than that.
 *
 * @param anyByte whose value does not matter
 */
export function standIn(guess: DescriptorGuess, anyByte: Extent | undefined): StandIn<Description> {
	const make = standIns[guess.what.kind] as (
		guess: DescriptorGuess,
		anyByte: Extent | undefined,
	) => StandIn<Description>;
	return make(guess, anyByte);
}
