import { hex } from "../bytes/address.ts";
import { auxvPair } from "./elf-core.ts";

/** Types of the auxiliary vector (include/uapi/linux/auxvec.h, arch/x86/include/uapi/asm/auxvec.h). */
export const AT = {
	NULL: 0,
	IGNORE: 1,
	EXECFD: 2,
	PHDR: 3,
	PHENT: 4,
	PHNUM: 5,
	PAGESZ: 6,
	BASE: 7,
	FLAGS: 8,
	ENTRY: 9,
	NOTELF: 10,
	UID: 11,
	EUID: 12,
	GID: 13,
	EGID: 14,
	PLATFORM: 15,
	HWCAP: 16,
	CLKTCK: 17,
	FPUCW: 18,
	SECURE: 23,
	BASE_PLATFORM: 24,
	RANDOM: 25,
	HWCAP2: 26,
	RSEQ_FEATURE_SIZE: 27,
	RSEQ_ALIGN: 28,
	HWCAP3: 29,
	HWCAP4: 30,
	EXECFN: 31,
	SYSINFO: 32,
	SYSINFO_EHDR: 33,
	L1I_CACHESHAPE: 34,
	L1D_CACHESHAPE: 35,
	L2_CACHESHAPE: 36,
	L3_CACHESHAPE: 37,
	MINSIGSTKSZ: 51,
} as const;

const names: ReadonlyMap<number, string> = new Map(Object.entries(AT).map(([name, type]) => [type, `AT_${name}`]));

/** `AT_PHDR` for 3; a type without a name as `AT_99`. */
export const auxvName = (type: number): string => names.get(type) ?? `AT_${type}`;

/** One entry of the vector. */
export interface AuxvPair {
	readonly type: number;
	readonly value: bigint;
}

const decimal: ReadonlySet<number> = new Set([
	...[AT.EXECFD, AT.PHENT, AT.PHNUM, AT.PAGESZ, AT.UID, AT.EUID, AT.GID, AT.EGID, AT.CLKTCK, AT.SECURE],
	...[AT.RSEQ_FEATURE_SIZE, AT.RSEQ_ALIGN, AT.MINSIGSTKSZ],
]);

/** The vector as the kernel stores it (NT_AUXV, /proc/PID/auxv), up to its AT_NULL. Types past 2^53 are rounded. */
export function readAuxv(bytes: Uint8Array): AuxvPair[] {
	const pairs: AuxvPair[] = [];
	for (let at = 0; at + auxvPair.size <= bytes.length; at += auxvPair.size) {
		const { a_type, a_val } = auxvPair.decode(bytes.subarray(at));
		if (a_type === BigInt(AT.NULL)) break;
		pairs.push({ type: Number(a_type), value: a_val });
	}
	return pairs;
}

/** The same as bytes, with its AT_NULL. */
export const writeAuxv = (pairs: readonly AuxvPair[]): Uint8Array =>
	Buffer.concat(
		[...pairs, { type: AT.NULL, value: 0n }].map(({ type, value }) =>
			auxvPair.encode({ a_type: BigInt(type), a_val: value }),
		),
	);

/**
 * The words of a vector that coredump/criu_coredump garbled, the first half of it; `undefined` for one that is as it was.
 * folklore: that tool (CRIU up to 4.2) makes a pair of each word with the next one, and then loses the second: each pair has a word
 * for its type, and zero for its value. Half of the words have no place any more. Where the second word is not lost, it is the
 * next pair's type.
 */
export function garbledWords(bytes: Uint8Array): bigint[] | undefined {
	const pairs = Array.from({ length: Math.floor(bytes.length / auxvPair.size) }, (_, i) =>
		auxvPair.decode(bytes.subarray(i * auxvPair.size)),
	);
	if (pairs.length < 5) return undefined;
	const zeros = pairs.every(({ a_val }) => a_val === 0n) && pairs.some(({ a_type }) => a_type > 0xffff_ffffn);
	const chained = pairs.every(({ a_type }, i) => i === 0 || a_type === pairs[i - 1]?.a_val);
	return zeros || chained ? pairs.map(({ a_type }) => a_type) : undefined;
}

/** `AT_PHDR 0x55d0c8a3f040`, `AT_PAGESZ 4096`: counts and ids in decimal, addresses and masks in hexadecimal. */
export const describeAuxv = ({ type, value }: AuxvPair): string =>
	`${auxvName(type)} ${decimal.has(type) ? value.toString() : hex(value)}`;

/** What debuggers, /proc readers and a later dump cannot do without. */
const essential: ReadonlySet<number> = new Set([
	...[AT.PHDR, AT.PHENT, AT.PHNUM, AT.BASE, AT.ENTRY, AT.SYSINFO_EHDR, AT.PAGESZ, AT.RANDOM, AT.EXECFN],
	...[AT.SECURE, AT.UID, AT.EUID, AT.GID, AT.EGID, AT.HWCAP, AT.CLKTCK],
]);

/** Known and dispensable, the least useful first. Types this table does not know go before all of them. */
const dispensable: readonly number[] = [
	...[AT.FLAGS, AT.NOTELF, AT.EXECFD, AT.FPUCW],
	...[AT.L1I_CACHESHAPE, AT.L1D_CACHESHAPE, AT.L2_CACHESHAPE, AT.L3_CACHESHAPE, AT.SYSINFO],
	...[AT.HWCAP4, AT.HWCAP3, AT.BASE_PLATFORM, AT.PLATFORM, AT.HWCAP2],
	...[AT.MINSIGSTKSZ, AT.RSEQ_ALIGN, AT.RSEQ_FEATURE_SIZE],
];

export interface TrimmedAuxv {
	/** In their original order, without AT_NULL and AT_IGNORE. */
	readonly kept: readonly AuxvPair[];
	/** What was lost, in the order it went. AT_NULL and AT_IGNORE say nothing and are not counted. */
	readonly dropped: readonly AuxvPair[];
}

/**
 * Cuts a vector to `maxWords` 64-bit words, two to a pair. First go AT_NULL (with what follows it: the vector ends there) and
 * AT_IGNORE, always; then, last first, as far as needed: repetitions (getauxval(3) sees the first), unknown types,
 * known ones in order of uselessness. The vector that the program itself reads lies on its stack and is
 * not touched by this; the trimmed one is what prctl(PR_SET_MM_MAP) makes /proc/PID/auxv show.
 *
 * CRIU 4.2 refuses an image with more than 44 words, and Linux 6.18 gives a process 46: without its terminator it just fits.
 *
 * @throws RangeError where not even the 16 essential pairs would fit: a limit under 32 words is a mistake of the caller.
 */
export function trimAuxv(pairs: readonly AuxvPair[], maxWords: number): TrimmedAuxv {
	const end = pairs.findIndex(({ type }) => type === AT.NULL);
	const meant = pairs.slice(0, end < 0 ? pairs.length : end).filter(({ type }) => type !== AT.IGNORE);
	const most = Math.floor(maxWords / 2);
	const excess = meant.length - most;
	if (excess <= 0) return { kept: meant, dropped: [] };
	const seen = new Set<number>();
	const ranked = meant.map((pair, i) => {
		const repeated = seen.has(pair.type);
		seen.add(pair.type);
		return { pair, i, rank: repeated ? -2 : rankOf(pair.type) };
	});
	const going = ranked
		.filter(({ rank }) => rank < dispensable.length)
		.sort((a, b) => a.rank - b.rank || b.i - a.i)
		.slice(0, excess);
	if (going.length < excess) throw new RangeError(`${maxWords} words cannot hold the essential auxiliary vector`);
	const gone = new Set(going.map(({ i }) => i));
	return { kept: meant.filter((_, i) => !gone.has(i)), dropped: going.map(({ pair }) => pair) };
}

/** Lower goes sooner; essential pairs rank above all that may go. */
const rankOf = (type: number): number => (essential.has(type) ? dispensable.length : dispensable.indexOf(type));
