import { type Address, pageCeil, plus } from "../bytes/address.ts";
import { bytesOf, cutPlaced, type Placed, piecesOf, rangeOf, within } from "../bytes/extent.ts";
import { intersect, type Range } from "../bytes/range.ts";
import type { PartialMapping, PartialTask } from "../forest/partial-task.ts";

/** How much of a core is looked at in one go. */
const PIECE = 1n << 20n;

/**
 * The same dead process without contents beyond the ends of its mapped files: those pages raise SIGBUS, and the kernel's cores
 * hold zeros for them. If a core holds anything else there, the file was truncated later, and the bytes become private memory.
 *
 * @param sizes Bytes of each mapped file that is here, by the path that the mappings have.
 */
export function endAtFiles(dead: PartialTask, sizes: ReadonlyMap<string, bigint>): PartialTask {
	const { memory } = dead;
	const blank: Range[] = [];
	const mappings = memory.mappings.flatMap((mapping): PartialMapping[] => {
		const { file, start, end, held } = mapping;
		const size = file === undefined || file.deleted ? undefined : sizes.get(file.path);
		if (file === undefined || size === undefined) return [mapping];
		const last = size > file.offset ? plus(start, pageCeil(size - file.offset)) : start;
		const behind = intersect({ start: last, end }, { start, end: plus(start, held) });
		if (behind === undefined) return [mapping];
		const isBlank = isZeros(dead, behind);
		if (isBlank) blank.push(behind);
		const { file: _file, missing: _missing, ...common } = mapping;
		const rest: PartialMapping = isBlank
			? { ...common, start: last, held: 0n, file: { ...file, offset: plus(file.offset, last - start) } }
			: { ...common, start: last, held: held - (last - start) };
		return [...(last > start ? [{ ...mapping, end: last, held: last - start }] : []), rest];
	});
	return { ...dead, memory: { ...memory, mappings, contents: without(memory.contents, blank) } };
}

function isZeros({ memory }: PartialTask, range: Range): boolean {
	// holes of the core's file need no look
	for (const content of memory.contents) {
		const part = within(cutPlaced(content, 0n, content.available), range);
		for (const piece of part === undefined ? [] : piecesOf(part, PIECE))
			if (bytesOf(piece)?.every((byte) => byte === 0) !== true) return false;
	}
	return true;
}

const without = (contents: readonly Placed<Address>[], gone: readonly Range[]): Placed<Address>[] =>
	contents.flatMap((content) => {
		const range = rangeOf(content);
		const end = gone.find((one) => intersect(range, one) !== undefined);
		// a mapping's bytes are one run, and what goes is its end
		return (end === undefined ? content : within(content, { start: range.start, end: end.start })) ?? [];
	});
