import { type Address, address, hex } from "../../bytes/address.ts";
import { rangeAt } from "../../bytes/range.ts";
import type { Epoll, EpollTarget } from "../../descriptors/epoll.ts";
import { caution, type Finding, loss, note } from "../../finding.ts";
import { type Files, withDescriptions } from "../../forest/files.ts";
import type { PartialTask } from "../../forest/partial-task.ts";
import type { Task } from "../../forest/task.ts";
import type { BlockingCall } from "../evidence/blocking-calls.ts";
import { reportedWords } from "../evidence/reported-events.ts";
import type { MovedNumbers } from "./descriptor-numbers.ts";
import { type BothMemories, bothMemories, compareObjects, type Likeness, type ObjectPair } from "./likeness.ts";
import { type ObjectSearch, objectSearch } from "./object-search.ts";
import type { Rebase } from "./rebase.ts";

/** How a word of the donor's came to its place in the dead process. */
type Outcome =
	/** No address: a number, most often the descriptor's own. */
	| { readonly kind: "kept"; readonly data: bigint }
	/** What it leads to looks alike in both, or the core holds the very word. */
	| { readonly kind: "confirmed" | "found" | "unconfirmed"; readonly data: bigint }
	| { readonly kind: "lost"; readonly why: string };

export interface EpollPlaces {
	readonly dead: PartialTask;
	/** The system calls that its threads were in. */
	readonly calls: readonly BlockingCall[];
	readonly donor: Task;
	readonly moved: Rebase;
	readonly numbers: MovedNumbers;
}

interface EpollWords {
	readonly memories: BothMemories;
	readonly search: ObjectSearch;
	/** The number in the dead process, by the donor's. */
	number(donor: number): number;
	/** Words that epoll reported to the dead process last, by the number of the epoll descriptor there. */
	readonly reported: ReadonlyMap<number, ReadonlySet<bigint>>;
}

/**
 * The descriptors, under the dead process's numbers, with what epoll instances watch under these and their data words. Epoll hands
 * a program's own word back to it (epoll_ctl(2)), and where that is an address, it is one of the donor's. Each is moved, and what
 * it leads to is compared with what the donor's leads to. What has no place is watched no longer: with a wrong word the process
 * would die at its next event.
 */
export function withMovedWords(
	files: Files,
	{ dead, calls, donor, moved, numbers }: EpollPlaces,
	report: (finding: Finding) => void,
): Files {
	if (!files.descriptors.some(({ description }) => description.kind === "epoll")) return files;
	const memories = bothMemories(donor.memory, dead.memory, moved);
	const own = (number: number): number => numbers.get(number) ?? number;
	const watched = files.descriptors.flatMap(({ description }) =>
		description.kind === "epoll" ? description.targets.map((target) => own(target.number)) : [],
	);
	const words: EpollWords = {
		memories,
		search: objectSearch(watched, memories),
		number: own,
		reported: reportedWords(calls, dead.memory),
	};
	return withDescriptions(files, (lent, number) =>
		lent.kind === "epoll" ? moveAll(number, lent, words, report) : lent,
	);
}

/** @param number the dead process's. */
function moveAll(number: number, epoll: Epoll, words: EpollWords, report: (finding: Finding) => void): Epoll {
	const outcomes = epoll.targets.map((target) => ({ target, outcome: moveWord(number, target, words) }));
	const subject = `epoll descriptor ${number}`;
	const ofKind = (kind: Outcome["kind"]): string =>
		outcomes.flatMap(({ target, outcome }) => (outcome.kind === kind ? [words.number(target.number)] : [])).join(", ");
	const say = (make: typeof note, kind: Outcome["kind"], text: string): void => {
		const watched = ofKind(kind);
		if (watched !== "") report(make("epoll", subject, `watches ${watched} with addresses, ${text}`));
	};
	say(note, "confirmed", "moved to this layout; what they lead to looks as in the donor");
	say(note, "found", "which were found in the core by what they lead to in the donor");
	say(caution, "unconfirmed", "moved to this layout; nothing confirms what they lead to");
	for (const { target, outcome } of outcomes)
		if (outcome.kind === "lost")
			report(loss("epoll", subject, `no longer watches ${words.number(target.number)}: ${outcome.why}`));
	return {
		...epoll,
		targets: outcomes.flatMap(({ target, outcome }) =>
			outcome.kind === "lost" ? [] : [{ ...target, number: words.number(target.number), data: outcome.data }],
		),
	};
}

function moveWord(epoll: number, { number, data }: EpollTarget, words: EpollWords): Outcome {
	const { memories, search, reported } = words;
	const numbers = { donor: number, dead: words.number(number) };
	const pointer = readPointer(data, memories);
	if (pointer === undefined) return { kind: "kept", data: renumbered(data, numbers) };
	const donor = pointer.address;
	const proven = [...(reported.get(epoll) ?? [])];
	// its flags are those of the core, where that has the word
	const wordAt = (dead: Address): bigint => proven.find((word) => pointer.isOf(word, dead)) ?? pointer.at(dead);
	const moved = memories.moved.address(donor);
	const compare = (dead: Address): Likeness | undefined => compareObjects({ donor, dead, number: numbers }, memories);
	if (moved !== undefined) {
		const word = wordAt(moved.address);
		const likeness = compare(moved.address);
		const fixed = moved.by === "file" || moved.by === "bss";
		if (proven.includes(word) || (likeness !== undefined && (fixed ? agrees(likeness) : isAlike(likeness))))
			return { kind: "confirmed", data: word };
		// what is in a file has one place only
		if (fixed) return { kind: "unconfirmed", data: word };
	}
	const places = search({ donor, number: numbers }, isAlike);
	const known = places.filter((dead) => proven.includes(wordAt(dead)));
	const elsewhere = known.length > 0 ? known : places;
	const [only] = elsewhere;
	if (only !== undefined && elsewhere.length === 1) return { kind: "found", data: wordAt(only) };
	const where = `the donor watched it with the address ${hex(donor)}`;
	if (elsewhere.length > 1)
		return { kind: "lost", why: `${where}, and ${elsewhere.length} places in the core look like what lies there` };
	if (moved === undefined) return { kind: "lost", why: `${where}, which has no place in the dead process` };
	const likeness = compare(moved.address);
	if (likeness !== undefined && likeness.against > likeness.telling)
		return { kind: "lost", why: `${where}, and at ${hex(moved.address)}, its place in the core, lies something else` };
	return { kind: "unconfirmed", data: wordAt(moved.address) };
}

/** Static data has its place anyway. */
const agrees = ({ agreed, against }: Likeness): boolean => agreed > 0 && against === 0;

/** On the heap another object may lie there, of the same type even: its descriptor or an address has to tell. */
const isAlike = ({ agreed, telling, against }: Likeness): boolean => against === 0 && telling > 0 && agreed >= ENOUGH;
const ENOUGH = 4;

/** Where malloc(3) and the compiler leave room for flags. */
const LOW_BITS = 7n;

interface Pointer {
	/** Of the donor's. */
	readonly address: Address;
	/** The same word with another address. */
	at(dead: Address): bigint;
	/** Whether a word is of that address, whatever its flags are. */
	isOf(word: bigint, dead: Address): boolean;
}

/**
 * The address in a word, if it is one of a mapping of the donor.
 *
 * folklore: nginx (1.22, ngx_epoll_module.c) keeps a flag in its lowest bit; Go since 1.21 (runtime/tagptr_64bit.go) shifts it
 * up by 16 bits and has a tag in the lowest 19.
 */
function readPointer(data: bigint, { donor }: BothMemories): Pointer | undefined {
	const isMapped = (at: bigint): boolean => {
		const place = rangeAt(donor.mappings, address(at));
		return place !== undefined && place.backing.kind !== "guard" && place.backing.kind !== "vsyscall";
	};
	if (isMapped(data)) {
		const flags = data & LOW_BITS;
		return {
			address: address(data - flags),
			at: (dead) => dead + flags,
			isOf: (word, dead) => (word & ~LOW_BITS) === dead,
		};
	}
	const shifted = (BigInt.asIntN(64, data) >> TAG_BITS) << 3n;
	if (shifted <= 0n || !isMapped(shifted)) return undefined;
	const tag = data & ((1n << TAG_BITS) - 1n);
	const shiftedUp = (dead: Address): bigint => BigInt.asUintN(64, (dead >> 3n) << TAG_BITS);
	return {
		address: address(shifted),
		at: (dead) => shiftedUp(dead) | tag,
		isOf: (word, dead) => (word >> TAG_BITS) << TAG_BITS === shiftedUp(dead),
	};
}

const TAG_BITS = 19n;

/** A word whose lower half is the descriptor's number: the upper half is another's, or was never set. */
const renumbered = (data: bigint, { donor, dead }: ObjectPair["number"]): bigint =>
	(data & 0xffff_ffffn) === BigInt(donor) ? data - BigInt(donor) + BigInt(dead) : data;
