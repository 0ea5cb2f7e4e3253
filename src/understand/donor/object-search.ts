import { type Address, address, plus } from "../../bytes/address.ts";
import { once } from "../../bytes/once.ts";
import { lengthOf } from "../../bytes/range.ts";
import type { PartialMapping } from "../../forest/partial-task.ts";
import { PROT_WRITE } from "../../linux/mman.ts";
import { type BothMemories, compareObjects, type Likeness, type ObjectPair } from "./likeness.ts";

/** Bytes of an object in which the number of its descriptor is looked for, and of memory that are searched, in such pieces. */
const HEAD = 64;
const MOST = 64n << 20n;
const PIECE = 1n << 20n;

/** So many places that hold the number are compared. */
const MOST_COMPARED = 20_000;

/** Objects are aligned as malloc(3) does, or as pointers in an array. */
const ALIGNMENT = 8;

/** Comparisons for all objects together, and places that are kept of all numbers: a server's donor watches thousands. */
const MOST_IN_ALL = 1 << 19;
const MOST_PLACES = 1 << 22;

/**
 * All places of the dead process's own memory that hold an object like one of the donor's: where objects are made in another
 * order, or among others, they do not lie at the same distance. It is found by the number of its descriptor; an object that does not
 * hold it, or holds it where too many others do, is not found.
 */
export type ObjectSearch = (
	object: Omit<ObjectPair, "dead">,
	isAlike: (likeness: Likeness) => boolean,
) => readonly Address[];

/** Looks through the memory once for all objects. @param numbers that they may have in the dead process. */
export function objectSearch(numbers: Iterable<number>, memories: BothMemories): ObjectSearch {
	const placesOf = once(() => placesOfWords(new Set(numbers), memories));
	let left = MOST_IN_ALL;
	return ({ donor, number }, isAlike) => {
		const bytes = memories.ofDonor(donor, HEAD);
		if (bytes === undefined) return [];
		const offsets = Array.from({ length: Math.floor(bytes.length / 4) }, (_, i) => i * 4).filter(
			(offset) => bytes.readInt32LE(offset) === number.donor,
		);
		if (offsets.length === 0) return [];
		const found = new Set<Address>();
		let compared = 0;
		for (const place of placesOf().get(number.dead) ?? [])
			for (const offset of offsets) {
				const dead = plus(place, BigInt(-offset));
				if (Number(dead & BigInt(ALIGNMENT - 1)) !== 0 || found.has(dead)) continue;
				if (++compared > MOST_COMPARED || --left < 0) return [];
				const likeness = compareObjects({ donor, dead, number }, memories);
				if (likeness !== undefined && isAlike(likeness)) found.add(dead);
			}
		return [...found];
	};
}

/** Where the dead process's own memory holds these numbers; of those that are in too many places none, and none at all of too many. */
function placesOfWords(numbers: ReadonlySet<number>, memories: BothMemories): ReadonlyMap<number, readonly Address[]> {
	const places = new Map<number, Address[]>([...numbers].map((number) => [number, []]));
	const largest = [...numbers].reduce((max, number) => Math.max(max, number), 0);
	let kept = 0;
	for (const { at, words } of writable(memories))
		for (let i = 0; i < words.length; i++) {
			const word = words[i] ?? 0;
			const known = word > largest ? undefined : places.get(word);
			if (known === undefined) continue;
			known.push(plus(at, BigInt(i * 4)));
			kept++;
			// of two neighbours one alone is aligned
			if (known.length > MOST_COMPARED * 2) {
				places.delete(word);
				kept -= known.length;
			}
			if (kept > MOST_PLACES) return new Map();
		}
	return places;
}

/** The 32-bit words of what the dead process had of its own, up to a bound. */
function* writable({ dead, ofDead }: BothMemories): Generator<{ readonly at: Address; readonly words: Uint32Array }> {
	let left = MOST;
	for (const mapping of dead.mappings.filter(isOwn))
		for (let at: bigint = mapping.start; at < mapping.end && left > 0n; at += PIECE) {
			const size = Number(lengthOf({ start: at, end: mapping.end }) < PIECE ? mapping.end - at : PIECE);
			const bytes = ofDead(address(at), size);
			if (bytes === undefined) continue;
			left -= BigInt(size);
			const aligned = bytes.byteOffset % 4 === 0 ? bytes : Buffer.from(bytes);
			yield { at: address(at), words: new Uint32Array(aligned.buffer, aligned.byteOffset, aligned.length >> 2) };
		}
}

const isOwn = ({ file, kernel, prot, held }: PartialMapping): boolean =>
	file === undefined && kernel === undefined && held > 0n && ((prot ?? PROT_WRITE) & PROT_WRITE) !== 0;
