import { describe, expect, it } from "vitest";
import { AT, type AuxvPair, auxvName, describeAuxv, garbledWords, trimAuxv } from "../../../src/linux/auxv.ts";
import { fixtureNotes } from "../../support/builders/fixture-core.ts";

const pair = (type: number, value = 1n): AuxvPair => ({ type, value });

const essential = [
	...[AT.SYSINFO_EHDR, AT.HWCAP, AT.PAGESZ, AT.CLKTCK, AT.PHDR, AT.PHENT, AT.PHNUM, AT.BASE, AT.ENTRY],
	...[AT.UID, AT.EUID, AT.GID, AT.EGID, AT.SECURE, AT.RANDOM, AT.EXECFN],
].map((type) => pair(type));

describe("trimAuxv", () => {
	it("makes the 46 words of a real core on Linux 6.18 fit CRIU's 44 by its terminator alone", () => {
		const [note] = fixtureNotes("counter").filter(({ owner, type }) => owner === "CORE" && type === 6);
		const words = new BigUint64Array(Uint8Array.from(note?.desc ?? []).buffer);
		const pairs = Array.from({ length: words.length / 2 }, (_, i) => ({
			type: Number(words[2 * i]),
			value: words[2 * i + 1] ?? 0n,
		}));
		expect(words).toHaveLength(46);
		expect(trimAuxv(pairs, 44)).toEqual({ kept: pairs.slice(0, 22), dropped: [] });
	});

	it("ends at AT_NULL and forgets AT_IGNORE, room or not", () => {
		expect(trimAuxv([pair(AT.IGNORE), pair(AT.PHDR), pair(AT.NULL), pair(AT.BASE)], 44)).toEqual({
			kept: [pair(AT.PHDR)],
			dropped: [],
		});
	});

	it("drops repetitions, then the unknown, then the known by uselessness, and keeps the order of the rest", () => {
		const pairs = [pair(AT.HWCAP2), pair(1000), pair(AT.FLAGS), ...essential, pair(AT.PHDR, 2n), pair(1001)];
		const types = (words: number): number[] => trimAuxv(pairs, words).dropped.map(({ type }) => type);
		expect(types(42)).toEqual([]);
		expect(types(40)).toEqual([AT.PHDR]);
		expect(types(38)).toEqual([AT.PHDR, 1001]);
		expect(types(32)).toEqual([AT.PHDR, 1001, 1000, AT.FLAGS, AT.HWCAP2]);
		expect(trimAuxv(pairs, 32).kept).toEqual(essential);
	});

	it("drops the last of the known dispensable ones last", () => {
		const useful = [AT.RSEQ_FEATURE_SIZE, AT.PLATFORM, AT.RSEQ_ALIGN, AT.MINSIGSTKSZ, AT.HWCAP3, AT.L2_CACHESHAPE];
		expect(trimAuxv([...useful.map((type) => pair(type)), ...essential], 32).dropped.map(({ type }) => type)).toEqual([
			...[AT.L2_CACHESHAPE, AT.HWCAP3, AT.PLATFORM, AT.MINSIGSTKSZ, AT.RSEQ_ALIGN, AT.RSEQ_FEATURE_SIZE],
		]);
	});

	it("will not cut what nothing can do without", () => {
		expect(() => trimAuxv(essential, 30)).toThrow(RangeError);
	});
});

describe("describeAuxv", () => {
	it("names the type and writes counts in decimal, addresses in hexadecimal", () => {
		expect(describeAuxv(pair(AT.PAGESZ, 4096n))).toBe("AT_PAGESZ 4096");
		expect(describeAuxv(pair(AT.PHDR, 0x400040n))).toBe("AT_PHDR 0x400040");
		expect(auxvName(99)).toBe("AT_99");
	});
});

describe("garbledWords", () => {
	const words = [33n, 0x7ffc00000000n, 51n, 3632n, 3n, 0x400040n, 23n, 0n, 9n, 0x401000n, 0n, 0n];
	const bytesOf = (all: readonly bigint[]): Uint8Array => {
		const bytes = Buffer.alloc(8 * all.length);
		for (const [i, word] of all.entries()) bytes.writeBigUInt64LE(word, 8 * i);
		return bytes;
	};

	it("leaves a vector as it is", () => {
		expect(garbledWords(bytesOf(words))).toBeUndefined();
		expect(garbledWords(bytesOf([3n, 0n, 4n, 0n, 5n, 0n, 6n, 0n, 7n, 0n]))).toBeUndefined();
	});

	it("knows what CRIU's coredump tool paired word by word, with the second of each pair and without", () => {
		const chained = words.slice(0, -1).flatMap((word, i) => [word, words[i + 1] ?? 0n]);
		expect(garbledWords(bytesOf(chained))).toEqual(words.slice(0, -1));
		expect(garbledWords(bytesOf(words.slice(0, 6).flatMap((word) => [word, 0n])))).toEqual(words.slice(0, 6));
	});
});
