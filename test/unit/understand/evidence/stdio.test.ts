import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { fromBuffer } from "../../../../src/bytes/source.ts";
import { readCore } from "../../../../src/core/core.ts";
import type { PartialMemory } from "../../../../src/forest/partial-task.ts";
import { variablesOf } from "../../../../src/understand/evidence/program-objects.ts";
import { stdioFiles, stdioFinding } from "../../../../src/understand/evidence/stdio.ts";
import { taskFromCore } from "../../../../src/understand/from-core/from-core.ts";
import { fixtureCore, fixturePath } from "../../../support/builders/fixture-core.ts";
import { judgedFor } from "../../../support/builders/judged.ts";
import { present } from "../../../support/present.ts";

// A program with glibc in it, of which only the list of streams is other than it was: two that it has, and three that are written here.

const program = readFileSync(fixturePath("bin/counter-static"));
const dead = taskFromCore(readCore(fromBuffer("core", fixtureCore("counter-static"))));
const open = judgedFor(dead, (path) => (path === dead.memory.executable ? fromBuffer(path, program) : undefined));
const list = present([...variablesOf(dead.memory, open, { objects: /^$/ }, ["_IO_list_all"])][0]?.get("_IO_list_all"));

interface Stream {
	readonly flags?: number;
	readonly number: number;
	readonly unwritten?: number;
	/** Index of the next; none for the last. */
	readonly next?: number;
}

const AT = 0x7777_0000_0000n;

/** The dead memory, where the list leads to these. */
function withStreams(streams: readonly Stream[]): PartialMemory {
	const bytes = Buffer.alloc(256 * streams.length);
	for (const [i, { flags = 0xfbad_2480, number, unwritten = 0, next }] of streams.entries()) {
		const at = 256 * i;
		bytes.writeUInt32LE(flags, at);
		bytes.writeBigUInt64LE(0x1000n, at + 0x20);
		bytes.writeBigUInt64LE(0x1000n + BigInt(unwritten), at + 0x28);
		bytes.writeBigUInt64LE(next === undefined ? 0n : AT + BigInt(256 * next), at + 0x68);
		bytes.writeInt32LE(number, at + 0x70);
	}
	const head = Buffer.alloc(8);
	head.writeBigUInt64LE(AT);
	return {
		...dead.memory,
		read: (at, length) => {
			if (at === list) return head.subarray(0, length);
			if (at >= AT && at < AT + BigInt(bytes.length)) return bytes.subarray(Number(at - AT), Number(at - AT) + length);
			return dead.memory.read(at, length);
		},
	};
}

test("are those of libc's list: the program's own three", () => {
	expect(stdioFiles(dead.memory, open).map(({ number }) => number)).toEqual([0, 1, 2]);
	expect(stdioFiles(dead.memory, () => undefined)).toEqual([]);
});

test("say how they were opened, and what waits to be written", () => {
	const found = stdioFiles(
		withStreams([
			{ number: 9, flags: 0xfbad_3484, unwritten: 17, next: 1 },
			{ number: 4, flags: 0xfbad_2488, next: 2 },
			{ number: -1, next: 3 },
			{ number: 5 },
		]),
		open,
	);
	expect(found).toEqual([
		{ number: 4, reads: true, writes: false, appends: false, unwritten: 0 },
		{ number: 5, reads: true, writes: true, appends: false, unwritten: 0 },
		{ number: 9, reads: false, writes: true, appends: true, unwritten: 17 },
	]);
	expect(found.map((one) => stdioFinding(one).text)).toEqual([
		"a file of stdio was open on it to read; its name is not in a core: it is closed, unless --fd 4=PATH opens it again",
		"a file of stdio was open on it to read and write; its name is not in a core: it is closed, unless --fd 5=PATH opens it again",
		"a file of stdio was open on it to append with 17 bytes that were not written yet; its name is not in a core: it is closed, unless --fd 9=PATH opens it again",
	]);
});

test.each([
	["leads nowhere", [{ number: 4, next: 7 }]],
	[
		"never ends",
		[
			{ number: 4, next: 1 },
			{ number: 5, next: 0 },
		],
	],
	[
		"holds what is no stream",
		[
			{ number: 4, next: 1 },
			{ number: 5, flags: 0x2480 },
		],
	],
])("are none where the list %s", (_, streams) => {
	expect(stdioFiles(withStreams(streams), open)).toEqual([]);
});
