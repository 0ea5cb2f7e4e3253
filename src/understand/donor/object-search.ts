import { type Address, address, plus } from "../../bytes/address.ts";
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

/**
 * All places of the dead process's own memory that hold an object like one of the donor's: where objects are made in another
 * order, or among others, they do not lie at the same distance. It is found by the number of its descriptor; an object that does not
 * hold it, or holds it where too many others do, is not found.
 */
export function findObjects(
	{ donor, number }: Omit<ObjectPair, "dead">,
	memories: BothMemories,
	isAlike: (likeness: Likeness) => boolean,
): Address[] {
	const bytes = memories.ofDonor(donor, HEAD);
	if (bytes === undefined) return [];
	const offsets = Array.from({ length: Math.floor(bytes.length / 4) }, (_, i) => i * 4).filter(
		(offset) => bytes.readInt32LE(offset) === number.donor,
	);
	const found = new Set<Address>();
	let compared = 0;
	for (const { at, words } of writable(memories))
		for (let i = 0; i < words.length; i++) {
			if (words[i] !== number.dead) continue;
			for (const offset of offsets) {
				const dead = plus(at, BigInt(i * 4 - offset));
				if (Number(dead & BigInt(ALIGNMENT - 1)) !== 0 || found.has(dead)) continue;
				if (++compared > MOST_COMPARED) return [];
				const likeness = compareObjects({ donor, dead, number }, memories);
				if (likeness !== undefined && isAlike(likeness)) found.add(dead);
			}
		}
	return [...found];
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
