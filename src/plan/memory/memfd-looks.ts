import { type Address, address, hex, PAGE_SIZE, pagesUp } from "../../bytes/address.ts";
import { refuse } from "../../errors.ts";
import type { Mapping, SharedObject } from "../../forest/task.ts";
import { F_SEAL, MAP, MAP_HUGE_MASK, MAP_HUGE_SHIFT, MFD } from "../../linux/mman.ts";
import type { Context } from "../context.ts";
import { hugetlbOf } from "./map.ts";

/* What a memfd is to be like. */

/** The kernel's own for shared memory without a name. */
export const nameOfMemfd = ({ name = "/dev/zero" }: SharedObject): string => name;

/** Flags of memfd_create(2). */
export function howToMake(object: SharedObject, mappings: readonly Mapping[], context: Context): bigint {
	const huge = hugeIn(object, mappings);
	return BigInt(MFD.CLOEXEC | makingFlags(object, context) | (huge === 0 ? 0 : MFD.HUGETLB | sizeBits(huge)));
}

/** Of its huge pages, flags of mmap(2). */
const hugeIn = (object: SharedObject, mappings: readonly Mapping[]): number =>
	mappings.reduce((all, mapping) => all | hugetlbOf(mapping), hugetlbFlags(object));

/** How much of a memfd is to be written to, and on which boundary it must lie; nothing where it holds nothing. */
export function windowRoom(
	object: SharedObject,
	mappings: readonly Mapping[],
): { readonly length: bigint; readonly page: bigint } {
	const page = pageOfHuge(hugeIn(object, mappings));
	const whole = pagesUp(object.size, page);
	// a file of holes may be larger than any address space
	const end = object.contents.reduce((last, { start, length }) => (start + length > last ? start + length : last), 0n);
	return { length: pagesUp(end < whole ? end : whole, page), page };
}

/** Room in which pages of that size can lie, on their boundary. @param reserve gives some of small pages. */
export function reservePages(reserve: (length: bigint) => Address, length: bigint, page: bigint): Address {
	return address(pagesUp(reserve(page === PAGE_SIZE ? length : length + page), page));
}

/** Bytes of each page, by what mmap(2) and shmget(2) were told of huge ones; 0 where they are not huge. */
export function pageOfHuge(huge: number): bigint {
	const log = (huge >>> MAP_HUGE_SHIFT) & MAP_HUGE_MASK;
	return huge === 0 ? PAGE_SIZE : 1n << BigInt(log === 0 ? 21 : log);
}

/** What it was sealed with; one that could not be sealed has F_SEAL_SEAL from the kernel. */
export const sealsOf = ({ seals = 0, memfdFlags = 0 }: SharedObject): number =>
	(memfdFlags & (MFD.ALLOW_SEALING | MFD.NOEXEC_SEAL)) === 0 ? 0 : seals;

const ANY_EXECUTE = 0o111;

function makingFlags({ memfdFlags = 0, seals = 0, mode }: SharedObject, { facts }: Context): number {
	const sealing = (memfdFlags & (MFD.ALLOW_SEALING | MFD.NOEXEC_SEAL)) === 0 ? 0 : MFD.ALLOW_SEALING;
	// said aloud where it can be: vm.memfd_noexec decides for those who do not
	if (facts.memfdExec !== true) return sealing;
	const never = (seals & F_SEAL.EXEC) !== 0 && mode !== undefined && (mode & ANY_EXECUTE) === 0;
	return sealing | (never ? MFD.NOEXEC_SEAL : MFD.EXEC);
}

const sizeBits = (flags: number): number => flags & (MAP_HUGE_MASK << MAP_HUGE_SHIFT);

/** MFD_HUGETLB in the form of mmap(2). */
const hugetlbFlags = ({ memfdFlags = 0 }: SharedObject): number =>
	(memfdFlags & MFD.HUGETLB) === 0 ? 0 : MAP.HUGETLB | sizeBits(memfdFlags);

/** The kernel's loff_t has a sign. */
export const sizeOfMemfd = ({ size }: SharedObject, name: string): bigint =>
	size < 1n << 63n
		? size
		: refuse("ERR_TASK_UNRUNNABLE", {
				subject: `memfd ${name}`,
				finding: `has ${hex(size)} bytes`,
				expectation: "expected less than 2^63",
			});
