import { type Address, address, plus } from "../../bytes/address.ts";
import { contains, firstEndingAbove, type Range, rangeAt } from "../../bytes/range.ts";
import type { LayoutMapping } from "../../forest/partial-task.ts";

/** An address space as the rebase needs it, the donor's or the dead process's. */
export interface AddressLayout {
	/** Sorted, without overlaps. */
	readonly mappings: readonly LayoutMapping[];
	/** `start` … program break. */
	readonly heap?: Range;
	/** Where the kernel put argc at exec. */
	readonly startStack?: Address;
}

/** How an address was carried over, strongest first. */
export type RebasedBy = "file" | "thread" | "bss" | "stack" | "heap" | "shape";

export interface Rebased {
	readonly address: Address;
	readonly by: RebasedBy;
}

/** One thread's thread pointers (fs_base) in both layouts. */
export interface ThreadPointers {
	readonly donor: Address;
	readonly dead: Address;
}

/**
 * Carries addresses from the donor's layout to the dead process's. Under ASLR the donor's addresses are wrong in the dead
 * process. Each is translated by the slide of the object that holds it, and only to a place of the same kind; else `undefined`,
 * which the caller reports.
 */
export interface Rebase {
	/** An address that belongs to the process: a handler, a restorer, a cookie. */
	address(donor: Address): Rebased | undefined;
	/** An address that belongs to a thread: its control block comes first, then everything else. */
	inThread(donor: Address, pointers: ThreadPointers): Rebased | undefined;
	/** The ASLR slide, dead - donor, of the module (all mappings of one load of a file) that holds a donor address. */
	slide(donor: Address): bigint | undefined;
}

/** One load of a file: its mappings share one distance between the two layouts. */
interface Module {
	readonly path: string;
	readonly base: Address;
	readonly places: readonly LayoutMapping[];
}

export function rebase(donor: AddressLayout, dead: AddressLayout): Rebase {
	const deadModules = new Map<string, Module[]>();
	for (const module of modulesOf(dead.mappings)) {
		const alike = deadModules.get(module.path);
		if (alike === undefined) deadModules.set(module.path, [module]);
		else alike.push(module);
	}
	const slides = new Map<LayoutMapping, bigint>();
	const seen = new Map<string, number>();
	for (const module of modulesOf(donor.mappings)) {
		const nth = seen.get(module.path) ?? 0;
		seen.set(module.path, nth + 1);
		const counterpart = deadModules.get(module.path)?.[nth];
		if (counterpart === undefined) continue;
		for (const place of module.places) slides.set(place, counterpart.base - module.base);
	}

	const inFile = (at: Address, place: LayoutMapping): Rebased | undefined => {
		const { file } = place;
		if (file === undefined) return undefined;
		const offset = file.offset + (at - place.start);
		const slide = slides.get(place);
		if (slide !== undefined) {
			const candidate = plus(at, slide);
			const target = rangeAt(dead.mappings, candidate);
			if (target?.file?.path === file.path && target.file.offset + (candidate - target.start) === offset)
				return { address: candidate, by: "file" };
		}
		// a file mapped piece by piece, in another order: the same byte of it with the same protection
		for (const target of dead.mappings) {
			if (target.file?.path !== file.path || (target.prot ?? place.prot) !== place.prot) continue;
			const candidate = plus(target.start, offset - target.file.offset);
			if (target.start <= candidate && candidate < target.end) return { address: candidate, by: "file" };
		}
		return undefined;
	};

	const inBss = (at: Address, place: LayoutMapping): Rebased | undefined => {
		const slide = ownerOf(donor.mappings, place, slides);
		if (slide === undefined) return undefined;
		const candidate = plus(at, slide);
		const target = rangeAt(dead.mappings, candidate);
		if (target === undefined || target.file !== undefined) return undefined;
		return chainOf(dead.mappings, target) === chainOf(donor.mappings, place)
			? { address: candidate, by: "bss" }
			: undefined;
	};

	const isHeap = (at: Address): boolean => donor.heap !== undefined && contains(donor.heap, at);
	const inHeap = (at: Address): Rebased | undefined => {
		if (donor.heap === undefined || dead.heap === undefined) return undefined;
		const candidate = plus(dead.heap.start, at - donor.heap.start);
		return contains(dead.heap, candidate) ? { address: candidate, by: "heap" } : undefined;
	};

	// argc's own address, not the end of the mapping, is the anchor: the kernel puts a random gap between the two
	// (arch_align_stack, arch/x86/kernel/process.c), so frames keep their distance from argc only
	const donorStack = donor.startStack === undefined ? undefined : rangeAt(donor.mappings, donor.startStack);
	const onStack = (at: Address): Rebased | undefined => {
		if (donor.startStack === undefined || dead.startStack === undefined) return undefined;
		const to = rangeAt(dead.mappings, dead.startStack);
		if (to === undefined) return undefined;
		const candidate = plus(dead.startStack, at - donor.startStack);
		return contains(to, candidate) ? { address: candidate, by: "stack" } : undefined;
	};

	// memory from mmap has no name; a mapping of equal size and protection at the distance of its neighbours is its counterpart
	const byShape = (at: Address, place: LayoutMapping, distances: readonly bigint[]): Rebased | undefined => {
		for (const distance of distances) {
			const start = plus(place.start, distance);
			const target = rangeAt(dead.mappings, start);
			if (target === undefined || target.file !== undefined || target.start !== start) continue;
			if (target.end - target.start !== place.end - place.start || (target.prot ?? place.prot) !== place.prot) continue;
			return { address: plus(at, distance), by: "shape" };
		}
		return undefined;
	};

	const anywhere = (at: Address, extra: readonly bigint[]): Rebased | undefined => {
		const place = rangeAt(donor.mappings, at);
		if (place === undefined) return undefined;
		if (place.file !== undefined) return inFile(at, place);
		// heap and stack have a counterpart of their own: what lies beyond its ends has no other
		if (isHeap(at)) return inHeap(at);
		if (place === donorStack) return onStack(at);
		return inBss(at, place) ?? byShape(at, place, [...extra, ...nearbySlides(donor.mappings, place, slides)]);
	};

	return {
		address: (at) => anywhere(at, []),
		inThread: (at, pointers) => {
			const block = rangeAt(donor.mappings, pointers.donor);
			const place = rangeAt(donor.mappings, at);
			const target = rangeAt(dead.mappings, pointers.dead);
			const distance = address(pointers.dead - pointers.donor);
			if (block !== undefined && place === block && target !== undefined) {
				const candidate = plus(at, distance);
				if (contains(target, candidate)) return { address: candidate, by: "thread" };
			}
			return anywhere(at, [distance]);
		},
		slide: (at) => {
			const place = rangeAt(donor.mappings, at);
			return place === undefined ? undefined : slides.get(place);
		},
	};
}

/** A file's offset 0 begins a module; its later mappings join until the next offset 0 of the same file. */
function modulesOf(mappings: readonly LayoutMapping[]): Module[] {
	const open = new Map<string, { path: string; base: Address; places: LayoutMapping[] }>();
	const modules: Module[] = [];
	for (const place of mappings) {
		if (place.file === undefined) continue;
		const current = open.get(place.file.path);
		if (current !== undefined && place.file.offset !== 0n) {
			current.places.push(place);
			continue;
		}
		const module = { path: place.file.path, base: plus(place.start, 0n - place.file.offset), places: [place] };
		open.set(place.file.path, module);
		modules.push(module);
	}
	return modules;
}

/** The file mapping that an anonymous mapping continues without a gap (.bss after .data), looking back over its like. */
function headOfChain(mappings: readonly LayoutMapping[], place: LayoutMapping): LayoutMapping | undefined {
	let end = place.start;
	for (let i = firstEndingAbove(mappings, place.start) - 1; i >= 0; i--) {
		const before = mappings[i];
		if (before === undefined || before.end !== end) return undefined;
		if (before.file !== undefined) return before;
		end = before.start;
	}
	return undefined;
}

const chainOf = (mappings: readonly LayoutMapping[], place: LayoutMapping): string | undefined =>
	headOfChain(mappings, place)?.file?.path;

const ownerOf = (
	mappings: readonly LayoutMapping[],
	place: LayoutMapping,
	slides: ReadonlyMap<LayoutMapping, bigint>,
): bigint | undefined => {
	const head = headOfChain(mappings, place);
	return head === undefined ? undefined : slides.get(head);
};

/** Slides of the nearest modules above and below: mmap places its regions top down, next to what was there before. */
function nearbySlides(
	mappings: readonly LayoutMapping[],
	place: LayoutMapping,
	slides: ReadonlyMap<LayoutMapping, bigint>,
): bigint[] {
	const at = firstEndingAbove(mappings, place.start);
	const found: bigint[] = [];
	for (const step of [1, -1])
		for (let i = at + step; i >= 0 && i < mappings.length; i += step) {
			const neighbour = mappings[i];
			const slide = neighbour && slides.get(neighbour);
			if (slide === undefined) continue;
			found.push(slide);
			break;
		}
	return found;
}
