import { type Address, address } from "../../bytes/address.ts";
import { lengthOf, rangeAt } from "../../bytes/range.ts";
import type { PartialMapping, PartialMemory } from "../../forest/partial-task.ts";
import { AF_UNIX, SOCK_STREAM } from "../../linux/io.ts";
import { PROT_EXEC, PROT_WRITE } from "../../linux/mman.ts";
import { MOST_DESCRIPTORS } from "./descriptor-guess.ts";
import { pieces } from "./search.ts";

/** What wakes an event loop of asyncio from other threads and from signal handlers: a pair of connected sockets. */
export interface SelfPipe {
	/** What the loop watches (`_ssock`), and where others write (`_csock`; Lib/asyncio/selector_events.py). */
	readonly read: number;
	readonly write: number;
}

/** How much memory is looked through, bytes, and how many such sockets are looked at. */
const MOST = 256n << 20n;
const MOST_SOCKETS = 1024;

const PYTHON = /\/(?:python3(?:\.\d+)?|libpython3(?:\.\d+)?\.so[^/]*)$/;

/**
 * The self-pipes of asyncio's loops in the memory of a Python program, by the records of its sockets (`PySocketSockObject`,
 * Modules/socketmodule.h, CPython 3.8 to 3.13: behind the head of an object come descriptor, family, type and protocol as
 * ints, the function that raises its errors, and its timeout). A loop's own are two unix stream sockets under numbers that
 * follow one another, as socketpair(2) gives them, neither of which ever waits.
 */
export function selfPipes(memory: PartialMemory): readonly SelfPipe[] {
	if (!memory.mappings.some(({ file }) => file !== undefined && PYTHON.test(file.path))) return [];
	const found = new Set<number>();
	let left = MOST;
	const places = memory.mappings.filter((mapping) => {
		if (!isObjects(mapping) || left <= 0n) return false;
		left -= lengthOf(mapping);
		return true;
	});
	for (const { at, words } of pieces(memory, places))
		for (let i = 4; i + 7 < words.length && found.size < MOST_SOCKETS; i++) {
			if (words[i + 1] !== AF_UNIX || words[i + 2] !== SOCK_STREAM || words[i + 3] !== 0 || i % 2 !== 0) continue;
			const descriptor = words[i] ?? 0;
			const [type, errors] = [wordAt(words, i - 2), wordAt(words, i + 4)];
			const neverWaits = words[i + 6] === 0 && words[i + 7] === 0;
			const plausible = descriptor > 2 && descriptor < MOST_DESCRIPTORS && neverWaits && at % 8n === 0n;
			if (plausible && isCode(memory, errors) && rangeAt(memory.mappings, type) !== undefined) found.add(descriptor);
		}
	return [...found]
		.sort((a, b) => a - b)
		.flatMap((read, i, all) => (all[i + 1] === read + 1 && all[i - 1] !== read - 1 ? [{ read, write: read + 1 }] : []));
}

/** Where Python keeps objects: its own arenas and the heap. */
const isObjects = ({ file, kernel, prot = 0, held }: PartialMapping): boolean =>
	file === undefined && kernel === undefined && (prot & PROT_WRITE) !== 0 && held > 0n;

const wordAt = (words: Uint32Array, i: number): Address =>
	address((BigInt(words[i + 1] ?? 0) << 32n) | BigInt(words[i] ?? 0));

const isCode = ({ mappings }: PartialMemory, at: Address): boolean =>
	((rangeAt(mappings, at)?.prot ?? 0) & PROT_EXEC) !== 0;
