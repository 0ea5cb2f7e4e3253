import { type Address, address, hex, isPageAligned, PAGE_SIZE, pageFloor, plus, TASK_SIZE } from "../bytes/address.ts";
import { least } from "../bytes/extent.ts";
import { gaps, lengthOf, type Range, united } from "../bytes/range.ts";
import { refuse } from "../errors.ts";
import { MAP } from "../linux/mman.ts";

/** A range that something lies in, and the MAP_ flags it has. */
export interface Taken extends Range {
	readonly flags?: number;
}

/** vm.mmap_min_addr as distributions set it: nothing may be mapped below. */
const LOWEST = address(0x1_0000n);

/** Free in every process seen so far: far above executables that are not PIE, far below those that are. */
const FAVOURITE = address(0x2000_0000_0000n);

/** The stack and the mappings that the kernel gives an agent by exec lie above this with any layout. */
const AGENT_ABOVE = address(0x5000_0000_0000n);

/** A stack grows down to its limit, 8 MiB as a rule; what lies closer than this below one could be in its way. */
const STACK_ROOM = 1n << 28n;

/** Neighbours never touch: the kernel would not merge the two, but a reader of maps would. */
const APART = PAGE_SIZE;

/**
 * Where blob and plan can lie while a process is built around them: `length` bytes, whole pages, free in its layout, not
 * next to any mapping, and with room below every stack that grows.
 *
 * @throws NecromancerError ERR_HOST where the layout has no such place.
 */
export function chooseHole(mappings: readonly Taken[], length: bigint): Range {
	const size = pagesUp(length);
	const windows = freeRanges(mappings);
	const fitting = windows.filter((range) => lengthOf(range) >= size);
	const start =
		favourite(fitting, size) ?? middleOfLargest(below(fitting, AGENT_ABOVE), size) ?? middleOfLargest(fitting, size);
	if (start === undefined)
		return refuse("ERR_HOST", {
			subject: "address space",
			finding: `no ${size} bytes are free at a distance from the process's ${mappings.length} mappings`,
			expectation: "expected a place for the restorer to work from",
		});
	return { start, end: plus(start, size) };
}

/**
 * Gives out ranges that are free in the layout and outside the hole, each once.
 *
 * @throws NecromancerError ERR_HOST, from the function, where nothing so large is free.
 */
export function reserver(mappings: readonly Taken[], hole: Range): (length: bigint) => Address {
	const taken: Taken[] = [...mappings, hole];
	return (length) => {
		const range = chooseHole(taken, length);
		taken.push(range);
		return range.start;
	};
}

/** What may be used: the gaps between mappings without their edges. */
function freeRanges(mappings: readonly Taken[]): Range[] {
	const stacks = new Set(mappings.filter(({ flags = 0 }) => (flags & MAP.GROWSDOWN) !== 0).map(({ start }) => start));
	return gaps({ start: LOWEST, end: TASK_SIZE }, united(mappings))
		.map(({ start, end }) => ({
			start: start === LOWEST ? start : plus(start, APART),
			end: end === TASK_SIZE ? end : plus(end, -least(end, stacks.has(end) ? STACK_ROOM : APART)),
		}))
		.filter(({ start, end }) => start < end);
}

/** The favourite place, or the nearest above it in the same gap. */
function favourite(ranges: readonly Range[], size: bigint): Address | undefined {
	const range = ranges.find(({ end }) => FAVOURITE + size <= end);
	if (range === undefined || range.start > FAVOURITE + STACK_ROOM) return undefined;
	return range.start > FAVOURITE ? range.start : FAVOURITE;
}

/** As far as can be from everything. */
function middleOfLargest(ranges: readonly Range[], size: bigint): Address | undefined {
	let best: Range | undefined;
	for (const range of ranges)
		if (lengthOf(range) >= size && (best === undefined || lengthOf(range) > lengthOf(best))) best = range;
	return best === undefined ? undefined : pageFloor(plus(best.start, (lengthOf(best) - size) / 2n));
}

const below = (ranges: readonly Range[], limit: Address): Range[] =>
	ranges.filter(({ start }) => start < limit).map(({ start, end }) => ({ start, end: end < limit ? end : limit }));

function pagesUp(length: bigint): bigint {
	if (length <= 0n) throw new RangeError(`a range of ${hex(length)} bytes`);
	return isPageAligned(length) ? length : address(length + PAGE_SIZE - (length % PAGE_SIZE));
}
