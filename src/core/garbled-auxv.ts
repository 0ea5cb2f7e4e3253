import { bytesOf, cut, held } from "../bytes/extent.ts";
import { type AuxvPair, garbledWords, readAuxv } from "../linux/auxv.ts";
import { auxvPair } from "../linux/elf-core.ts";
import { PROT_WRITE } from "../linux/mman.ts";
import type { Segment } from "./segments.ts";

/** Words that must match for the vector to be recognised on a stack. */
const WORDS = 8;

/** The most that arguments and environment take above the vector, bytes. */
const DEPTH = 16n << 20n;

/** A kernel's vector has fewer pairs. */
const MOST_PAIRS = 64;

/**
 * The auxiliary vector of a core. Where the note is garbled (see linux/auxv.ts), the copy on the stack, found by the note's
 * first words; if that is gone, what the note has.
 */
export function auxvFrom(note: Uint8Array, segments: readonly Segment[]): AuxvPair[] {
	const words = garbledWords(note);
	if (words === undefined) return readAuxv(note);
	const beginning = wordsToBytes(words);
	const pattern = beginning.subarray(0, 8 * WORDS);
	// from the top: the stack is the highest writable segment
	for (const segment of [...segments].reverse()) {
		const { prot, available } = segment;
		if ((prot & PROT_WRITE) === 0 || available === 0n) continue;
		const bytes = bytesOf(cut(held(segment), available < DEPTH ? 0n : available - DEPTH));
		for (let at = bytes?.indexOf(pattern) ?? -1; bytes !== undefined && at >= 0; at = bytes.indexOf(pattern, at + 1)) {
			const pairs = at % 8 === 0 ? readAuxv(bytes.subarray(at, at + MOST_PAIRS * auxvPair.size)) : [];
			if (pairs.length > words.length / 2 && pairs.length < MOST_PAIRS) return pairs;
		}
	}
	return readAuxv(beginning);
}

function wordsToBytes(words: readonly bigint[]): Buffer {
	const bytes = Buffer.alloc(8 * words.length);
	for (const [i, word] of words.entries()) bytes.writeBigUInt64LE(word, 8 * i);
	return bytes;
}
