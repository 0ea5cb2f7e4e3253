import { expect, test } from "vitest";
import { fileOffset } from "../../../src/bytes/address.ts";
import { bytesOf, extent, place } from "../../../src/bytes/extent.ts";
import { fromBuffer } from "../../../src/bytes/source.ts";
import type { Finding } from "../../../src/finding.ts";
import type { Task } from "../../../src/forest/task.ts";
import { contentsOfSeveral, type SharedPart } from "../../../src/patch/memory-of-several.ts";

/** Pages from `at` on, each of one letter. */
const pages = (at: number, letters: string) => {
	const bytes = Buffer.concat([...letters].map((letter) => Buffer.alloc(4096, letter)));
	return place(fileOffset(BigInt(at * 4096)), extent(fromBuffer("pages", bytes), 0n, BigInt(bytes.length)));
};

const partOf = (name: string, contents: ReturnType<typeof pages>[], writtenAt?: bigint): SharedPart => ({
	...{ name, task: {} as Task, object: { id: 1, size: 4n * 4096n, contents } },
	...(writtenAt === undefined ? {} : { writtenAt }),
});

function whole(parts: readonly SharedPart[], lent: readonly ReturnType<typeof pages>[]) {
	const told: Finding[] = [];
	const made = contentsOfSeveral(parts, [8, 9], lent, (finding) => told.push(finding));
	const letters = (made?.contents ?? []).map((it) => [
		Number(it.start) / 4096,
		[...(bytesOf(it) ?? [])]
			.filter((_, i) => i % 4096 === 0)
			.map((byte) => String.fromCharCode(byte))
			.join(""),
	]);
	return { letters, size: made?.size, told: told.map(({ subject, text }) => `${subject}: ${text}`) };
}

test("what a core holds lies on top of what the donor had, which is cut where it must", () => {
	expect(whole([partOf("core", [pages(1, "XY")])], [pages(0, "abcde")])).toEqual({
		letters: [
			[0, "a"],
			[1, "XY"],
			[3, "de"],
		],
		size: 4n * 4096n,
		told: ["memory of processes 8, 9: is as core holds it, for those too that did not die"],
	});
});

test("of two cores the one that was written last is believed, in whatever order they are named", () => {
	const [early, late] = [partOf("early", [pages(0, "abc")], 1n), partOf("late", [pages(1, "bZ")], 2n)];
	const { letters, told } = whole([late, early], []);
	expect(letters).toEqual([
		[0, "a"],
		[1, "bZ"],
	]);
	expect(told[0]).toBe("memory of processes 8, 9: differs in 1 page between early and late: what late holds is taken");
	// where that is not known, the last that is named
	expect(whole([partOf("late", [pages(1, "bZ")]), partOf("early", [pages(0, "abc")])], []).letters).toEqual([
		[0, "abc"],
	]);
});

test("what no core holds stays as the donor had it, which is said", () => {
	expect(whole([partOf("core", [])], [pages(0, "a")])).toEqual({
		letters: [],
		told: [
			"memory of processes 8, 9: is not in core (coredump_filter bit 1): it is as the donor had it, at another time",
		],
	});
});
