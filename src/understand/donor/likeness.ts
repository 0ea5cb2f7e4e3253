import { type Address, address, plus } from "../../bytes/address.ts";
import { allWithin, least, readAt } from "../../bytes/extent.ts";
import { type Range, rangeAt } from "../../bytes/range.ts";
import type { PartialMemory } from "../../forest/partial-task.ts";
import type { Memory } from "../../forest/task.ts";
import type { Rebase } from "./rebase.ts";

/** The memories of two processes of one program, and how addresses go from the one to the other. */
export interface BothMemories {
	readonly donor: Pick<Memory, "mappings">;
	readonly dead: Pick<PartialMemory, "mappings">;
	readonly moved: Rebase;
	/** Up to `most` bytes of one mapping, or `undefined` where the images, or the core, have none. */
	ofDonor(at: Address, most: number): Buffer | undefined;
	ofDead(at: Address, most: number): Buffer | undefined;
}

export function bothMemories(
	donor: Pick<Memory, "mappings" | "contents">,
	dead: Pick<PartialMemory, "mappings" | "read">,
	moved: Rebase,
): BothMemories {
	// by place and length: two objects that lie one behind the other are read to different ends
	const known = new Map<string, Buffer | undefined>();
	return {
		...{ donor, dead, moved },
		ofDonor: (at, most) => {
			const key = `${at} ${most}`;
			if (!known.has(key)) known.set(key, donorBytes(donor, at, most));
			return known.get(key);
		},
		ofDead: (at, most) => {
			const place = rangeAt(dead.mappings, at);
			return place === undefined ? undefined : dead.read(at, upTo(place, at, most));
		},
	};
}

/** The same object in both. */
export interface ObjectPair {
	readonly donor: Address;
	readonly dead: Address;
	/** The number of the descriptor that it is about, in each. */
	readonly number: { readonly donor: number; readonly dead: number };
}

/** How much speaks for two objects being the same, and against it. */
export interface Likeness {
	/** Weight of what agrees. */
	readonly agreed: number;
	/** Of that, what hardly agrees by chance: addresses of code and static data, an address in the object itself, its descriptor. */
	readonly telling: number;
	/** Words that are an address in one and something else in the other. */
	readonly against: number;
}

/** Bytes of an object that are compared: it may be shorter, and then its neighbours are. */
const LENGTH = 64;
const WORD = 8;

/** As {@link Likeness.agreed}. */
const TELLING = 2;

/**
 * Compares an object of the donor with one of the dead process, word by word: addresses have to be moved ones, and what they lead
 * to is looked at, one step far. Numbers may differ, for the two have lived differently. `undefined` where one of them has no bytes.
 */
export const compareObjects = (pair: ObjectPair, memories: BothMemories): Likeness | undefined =>
	compare(pair, pair, memories, true);

/** @param object the one that all is about: what points back to it tells. */
function compare(pair: ObjectPair, object: ObjectPair, memories: BothMemories, deep: boolean): Likeness | undefined {
	const length = lengthOf(pair, memories);
	const theirs = memories.ofDonor(pair.donor, length);
	const own = memories.ofDead(pair.dead, length);
	if (theirs === undefined || own === undefined) return undefined;
	const sum = { agreed: 0, telling: 0, against: 0 };
	for (let at = 0; at + WORD <= Math.min(theirs.length, own.length); at += WORD) {
		const word = { donor: theirs.readBigUInt64LE(at), dead: own.readBigUInt64LE(at) };
		const weight = compareWords(word, object, memories, deep);
		sum.agreed += Math.max(weight, 0);
		if (weight >= TELLING) sum.telling += 1;
		if (weight < 0) sum.against += 1;
	}
	return sum;
}

/**
 * folklore: the word before what glibc's malloc(3) returns is the size of it with its head, a multiple of 16, and three flags
 * (malloc/malloc.c, 2.36). Behind a small one lies another.
 */
function lengthOf({ donor, dead }: ObjectPair, memories: BothMemories): number {
	const size = memories.ofDonor(plus(donor, -8n), WORD);
	if (size?.length !== WORD || memories.ofDead(plus(dead, -8n), WORD)?.equals(size) !== true) return LENGTH;
	const chunk = size.readBigUInt64LE() & ~7n;
	return chunk >= 32n && chunk % 16n === 0n && chunk < LENGTH + WORD ? Number(chunk) - WORD : LENGTH;
}

interface WordPair {
	readonly donor: bigint;
	readonly dead: bigint;
}

/** Below 0 what contradicts, 0 what says nothing. */
function compareWords(word: WordPair, object: ObjectPair, memories: BothMemories, deep: boolean): number {
	// a null pointer of the donor's may have become one that leads somewhere
	if (word.donor === 0n) return 0;
	const place = rangeAt(memories.donor.mappings, address(word.donor));
	const ownPlace = rangeAt(memories.dead.mappings, address(word.dead));
	if (place === undefined) return ownPlace === undefined ? compareNumbers(word, object) : -1;
	if (ownPlace === undefined) return -1;
	const inside = word.donor - object.donor;
	if (inside >= 0n && inside < LENGTH && word.dead - object.dead === inside) return TELLING;
	const moved = memories.moved.address(address(word.donor));
	const same = moved?.address === word.dead;
	// handlers change while a program lives, objects on the heap do not become code
	if (moved?.by === "file" || moved?.by === "bss") return same ? TELLING : ownPlace.file === undefined ? -1 : 0;
	if (!deep) return same ? 1 : 0;
	const pair = { ...object, donor: address(word.donor), dead: address(word.dead) };
	const behind = compare(pair, object, memories, false);
	if (behind === undefined) return same ? 1 : 0;
	if (behind.telling > 0 && behind.against <= behind.telling) return TELLING;
	if (behind.against > 0 && !same) return -1;
	return same ? 1 : 0;
}

/** Either half may be the descriptor's number. */
function compareNumbers({ donor, dead }: WordPair, { number }: ObjectPair): number {
	for (const shift of [0n, 32n])
		if (half(donor, shift) === number.donor && half(dead, shift) === number.dead) return TELLING;
	return donor === dead ? 1 : 0;
}

const half = (word: bigint, shift: bigint): number => Number((word >> shift) & 0xffff_ffffn);

/** Memory that images do not hold was never written, and reads as zeros where no file is behind it. */
function donorBytes(
	{ mappings, contents }: Pick<Memory, "mappings" | "contents">,
	at: Address,
	most: number,
): Buffer | undefined {
	const place = rangeAt(mappings, at);
	if (place === undefined) return undefined;
	const length = upTo(place, at, most);
	const end = plus(at, BigInt(length));
	if (place.backing.kind !== "anonymous" || contents.length === 0) return readAt(contents, at, length);
	return allWithin(contents, { start: at, end }).length === 0 ? Buffer.alloc(length) : readAt(contents, at, length);
}

/** How many of so many bytes from `at` on are in its mapping. */
const upTo = (place: Range, at: Address, most: number): number => Number(least(place.end - at, BigInt(most)));
