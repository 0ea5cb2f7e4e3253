import type { EpollTarget } from "../../descriptors/epoll.ts";

/** What a descriptor must have been, as far as the core proves it. */
export interface DescriptorGuess {
	readonly number: number;
	readonly what: GuessedKind;
	/** O_NONBLOCK or 0. */
	readonly flags: number;
	readonly closeOnExec: boolean;
	/** What proves it, in words. */
	readonly why: string;
	/** A thread waits for it without a timeout. */
	readonly awaited?: boolean;
	/** The kind is what is most likely, not what is proved. */
	readonly guessed?: boolean;
}

export type GuessedKind =
	/** `complete`: what else it is to watch, the program adds itself. */
	| { readonly kind: "epoll"; readonly targets: readonly EpollTarget[]; readonly complete?: true }
	| { readonly kind: "eventfd" }
	/** One end of a pipe; `lock`: a byte waits in it. */
	| { readonly kind: "end"; readonly pipe: number; readonly access: number; readonly lock?: boolean }
	/** One of a pair of connected sockets. */
	| { readonly kind: "socket"; readonly pair: number }
	/** Something to wait on of which the kind is not known: a pipe open both ways, in which nothing ever comes. */
	| { readonly kind: "silence" };

/** Takes in what is known of a descriptor, unless something is known already. */
export type Add = (deduced: DescriptorGuess) => void;

/** Larger fd numbers are not believed: the fd table grows with them. */
export const MOST_DESCRIPTORS = 65_536;
