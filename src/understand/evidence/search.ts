import { type Address, address, plus } from "../../bytes/address.ts";
import { firstEndingAbove, intersect, type Range, rangeAt } from "../../bytes/range.ts";
import type { PartialMapping, PartialMemory, PartialTask } from "../../forest/partial-task.ts";
import type { Bounds } from "../../forest/task.ts";
import { PROT_EXEC, PROT_WRITE } from "../../linux/mman.ts";

/** How much of a dead process's memory is looked through at most, bytes, and in which pieces. */
const MOST = 64n << 20n;
const PIECE = 1n << 20n;

/** How much of a stack is. */
const MOST_STACK = 1n << 20n;

/**
 * The ranges to search for long-lived data: .data and .bss of objects, heap, thread stacks; as far as the core holds them, and
 * up to a bound.
 */
export function longLived({ memory, threads }: PartialTask, bounds: Bounds): Range[] {
	const { mappings } = memory;
	const objects = new Set(
		mappings.flatMap(({ file, prot }) => (((prot ?? 0) & PROT_EXEC) !== 0 ? (file?.path ?? []) : [])),
	);
	const isData = ({ file }: PartialMapping): boolean => file !== undefined && objects.has(file.path);
	const data = mappings.filter((mapping, i) => {
		const before = mappings[i - 1];
		const bss = mapping.file === undefined && before?.end === mapping.start && isData(before) && isWritable(before);
		return isWritable(mapping) && (bss || isData(mapping));
	});
	const stacks = threads.flatMap(({ registers }) => {
		const sp = address(registers.sp & ~7n);
		const stack = rangeAt(mappings, sp);
		if (stack === undefined) return [];
		return [{ start: sp, end: stack.end - sp < MOST_STACK ? stack.end : plus(sp, MOST_STACK) }];
	});
	const heap = { start: bounds.startBrk, end: bounds.brk };
	let left = MOST;
	return [...data, ...stacks, heap].flatMap((range) => {
		const parts: Range[] = [];
		for (let i = firstEndingAbove(mappings, range.start); i < mappings.length; i++) {
			const mapping = mappings[i];
			if (mapping === undefined || mapping.start >= range.end || left <= 0n) break;
			const held = intersect(range, { start: mapping.start, end: plus(mapping.start, mapping.held) });
			if (held === undefined) continue;
			const length = held.end - held.start < left ? held.end - held.start : left;
			left -= length;
			parts.push({ start: held.start, end: plus(held.start, length) });
		}
		return parts;
	});
}

const isWritable = ({ prot }: PartialMapping): boolean => ((prot ?? 0) & PROT_WRITE) !== 0;

/** Every aligned word that holds its own address, as the heads of empty lists do. */
export function* selfPointers(memory: PartialMemory, places: readonly Range[]): Generator<Address> {
	for (const { at, words } of pieces(memory, places)) {
		// bigints are slow, and few words of a stretch have the upper half of its address
		const low = Number(at & 0xffff_ffffn);
		const high = Number(at >> 32n);
		for (let i = 0; i + 1 < words.length; i += 2) {
			if (words[i] !== (low + i * 4) >>> 0) continue;
			if (words[i + 1] === high + (low + i * 4 > 0xffff_ffff ? 1 : 0)) yield plus(at, BigInt(i * 4));
		}
	}
}

/** The numbers n that memory holds directly before n + 1, as the ends of a pipe in `int ends[2]`. */
export function pairsOf(
	numbers: ReadonlySet<number>,
	memory: PartialMemory,
	places: readonly Range[],
): ReadonlySet<number> {
	const found = new Set<number>();
	if (numbers.size === 0) return found;
	const highest = Math.max(...numbers);
	for (const { words } of pieces(memory, places)) {
		let before = 0;
		for (let i = 0; i < words.length; i++) {
			const word = words[i] ?? 0;
			if (word === before + 1 && before <= highest && numbers.has(before)) found.add(before);
			before = word;
		}
		if (found.size === numbers.size) break;
	}
	return found;
}

/** The 32-bit words of memory, in pieces. */
export function* pieces(
	memory: PartialMemory,
	places: readonly Range[],
): Generator<{ readonly at: Address; readonly words: Uint32Array }> {
	for (const { start, end } of places)
		for (let at: bigint = start; at < end; at += PIECE) {
			const length = end - at < PIECE ? end - at : PIECE;
			const bytes = memory.read(address(at), Number(length));
			if (bytes === undefined) continue;
			const aligned = bytes.byteOffset % 4 === 0 ? bytes : Buffer.from(bytes);
			yield {
				at: address(at),
				words: new Uint32Array(aligned.buffer, aligned.byteOffset, Math.floor(aligned.length / 4)),
			};
		}
}
