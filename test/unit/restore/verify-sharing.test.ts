import { closeSync, openSync, statSync } from "node:fs";
import { describe, expect, it } from "vitest";
import type { Task } from "../../../src/forest/task.ts";
import { parseMaps } from "../../../src/proc/maps.ts";
import { otherInodes } from "../../../src/restore/verify-sharing.ts";

const AT = 0x7000_0000_0000n;

/** Descriptors of ourselves that are said to be of one file without a name, and a mapping of it. */
function strays(paths: readonly string[], inode: bigint, replaced: readonly number[] = []): string[] {
	const numbers = paths.map((path) => openSync(path, "r"));
	const backing = { kind: "file", path: "/gone", offset: 0n, writable: false, ghost: 1 };
	const task = {
		memory: { mappings: [{ start: AT, end: AT + 4096n, shared: true, backing }] },
		files: {
			descriptors: numbers.map((number) => ({ number, description: { kind: "file", path: "/gone", ghost: 1 } })),
		},
	} as unknown as Task;
	const maps = parseMaps(
		`400000-401000 r--p 00000000 08:01 7 /bin/x\n700000000000-700000001000 rw-s 00000000 08:01 ${inode} /#1 (deleted)\n`,
	);
	try {
		const others = new Map(replaced.map((i): [number, string] => [numbers[i] ?? -1, "/dev/null"]));
		return otherInodes(process.pid, task, maps, others).map((text) => text.replace(/descriptor \d+/, "descriptor N"));
	} finally {
		for (const number of numbers) closeSync(number);
	}
}

const inodeOf = (path: string): bigint => statSync(path, { bigint: true }).ino;

describe("what was one file", () => {
	const [one, other] = ["/proc/version", "/proc/uptime"];

	it("is one, by its inode", () => {
		expect(strays([one, one], inodeOf(one))).toEqual([]);
	});

	it("is told apart", () => {
		expect(strays([one, other], inodeOf(one))).toEqual([
			"descriptor N and mapping 0x700000000000 no longer show the same file /gone",
		]);
		expect(strays([one], inodeOf(other))).toHaveLength(1);
	});

	it("need not be one where the user named another", () => {
		expect(strays([one, other], inodeOf(one), [1])).toEqual([]);
	});
});
