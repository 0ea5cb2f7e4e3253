import type { Address } from "../bytes/address.ts";
import type { Range } from "../bytes/range.ts";
import type { InputFile, Place } from "../program/args.ts";
import type { HostFacts } from "./host-facts.ts";
import type { Ids } from "./ids.ts";
import type { Inheritance } from "./inheritance.ts";
import type { Inputs } from "./inputs.ts";
import { type Actor, actorOf, type Opener } from "./opener.ts";
import { type PartDraft, partDraft } from "./part.ts";

/** What all parts of the compiler share. */
export interface Shared {
	readonly ids: Ids;
	readonly facts: HostFacts;
	/** Reserved for blob, plan, stacks, frames. No mapping of the dead process overlaps it. */
	readonly hole: Range;
	/** `struct context`; `report_fd` is its first word. */
	readonly reportTarget: Place;
	/** The report socket's number and everything the plan opens for a while are at or above this; all of the dead's below. */
	readonly firstWorkFd: number;
	/** Files that are open from the beginning, from `firstWorkFd` + 1 on. */
	readonly inputs: Inputs;
	/** The lowest number above them: what is only needed for a while. */
	readonly firstSpareFd: number;
	/** As whom its files are opened. */
	readonly opener: Opener;
	/** The futex word on which finished threads wait; 1 lets them go. A cell. */
	readonly go: Place;
	/** Where the process's leader had ended: 0 when it has done so again. A cell. */
	readonly leaderEnded?: Place;
	/** The first process stays in the session of whoever calls us, and who was in one with it. */
	readonly joinsCaller?: true;
	/** What it has in common with other processes of the plan; absent where there are none. */
	readonly common?: CommonThings;
	/** What it sees to of System V's segments; absent where the process has the IPC namespace of the restorer. */
	readonly segments?: { readonly fills: ReadonlySet<number>; readonly first: boolean };
	/** A free range of the dead process's layout outside the hole, page aligned, not given twice. */
	readonly reserve: (length: bigint) => Address;
}

/** What several processes have, as it lies there when a process that shares it begins: made before any of them is. */
export interface CommonThings {
	/** Open descriptions, by the key of their slots. */
	readonly descriptions: ReadonlyMap<string, InputFile>;
	/** Keys of those that another process sees to: sets timers, names owners, says what is watched. */
	readonly elsewhere: ReadonlySet<string>;
	/** Shared memory, by the object's id. */
	readonly objects: ReadonlyMap<number, CommonObject>;
	readonly children: readonly number[];
	/** What lies in its memory from those that made it, and for those that it makes. */
	readonly inheritance: Inheritance;
	/** Its descriptors are those of its parent, which opens and closes them (CLONE_FILES). */
	readonly borrowsTable: boolean;
	/** How it hears of what the restorer says to the first process, who alone reads it: for all of them. */
	readonly words: ToldWords;
}

/** Words in memory that all processes share; each holds the first process's id once it is said. */
export interface ToldWords {
	readonly first: number;
	/** The restorer has looked at what they have. */
	readonly seen: Place;
	/** They may go. */
	readonly go: Place;
	/** That a process does not end with its parent any more, by the process; none of the first. */
	readonly free: ReadonlyMap<number, Place>;
}

/** Shared memory that is there before any process is. */
export interface CommonObject {
	/**
	 * A place that is free in all layouts. All of it is mapped there until each process has it where it was; of a memfd, by who fills
	 * it. Absent for a memfd without bytes.
	 */
	readonly window?: Range;
	/** The process is the one that fills it. */
	readonly fills: boolean;
	/** Of a memfd. */
	readonly memfd?: {
		/** The descriptor that it is open as meanwhile, in all processes. */
		readonly number: number;
		/** The key of the slot whose description that is, where it is one of this process's. */
		readonly original?: string;
	};
}

/** What a part of the compiler has at hand: what all share, and a draft of its own that it returns. */
export interface Context extends Shared {
	readonly draft: PartDraft;
	readonly actor: Actor;
}

/** For one part. @param leader the list of the process's first thread. */
export function contextOf(shared: Shared, leader?: string): Context {
	const draft = partDraft(leader);
	return { ...shared, draft, actor: actorOf(() => draft.leader, shared.opener) };
}
