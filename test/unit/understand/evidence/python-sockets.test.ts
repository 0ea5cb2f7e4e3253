import { describe, expect, test } from "vitest";
import type { BuiltCore } from "../../../support/builders/core-builder.ts";
import { asleepIn, deduced, ints, poke, told, words } from "../../../support/builders/deduced-core.ts";
import { deadCore, deadPlaces, P, withSegment } from "../../../support/builders/pair.ts";

const { exe, heap } = deadPlaces;
const CODE = exe + P + 0x20n;
const [TYPE, at] = [heap + 0x2000n, 0x7f10_0080_0000n];

interface MadeSocket {
	readonly fd: number;
	readonly family?: number;
	readonly timeout?: bigint;
	readonly errors?: bigint;
}

/** A CPython socket object (CPython 3.11, offsets by gcc). */
const withSocket = (core: BuiltCore, where: bigint, { fd, family = 1, timeout = 0n, errors = CODE }: MadeSocket) =>
	poke(
		poke(poke(core, where, words(1n, TYPE)), where + 16n, ints(fd, family, 1, 0)),
		where + 32n,
		words(errors, timeout),
	);

const python = (core: BuiltCore): BuiltCore =>
	withSegment(core, { start: at, end: at + P, prot: 1 }, { offset: 0n, path: "/usr/bin/python3.11" });
const waiting = asleepIn(deadCore({ tids: [500, 501] }), 501, 232, 4n, heap, 4n, 0xffff_ffffn);
const pair = (core: BuiltCore): BuiltCore =>
	withSocket(withSocket(core, heap + 0x300n, { fd: 5 }), heap + 0x400n, { fd: 6 });

describe("asyncio's self-pipe", () => {
	test("is the pair of sockets that never wait, and the loop watches its first", () => {
		const found = deduced(python(pair(waiting)));
		const open = found.task.files.descriptors.map(({ number, description }) => [number, description]);
		expect(open).toContainEqual([4, expect.objectContaining({ targets: [{ number: 5, events: 1, data: 5n }] })]);
		expect(open).toContainEqual([5, expect.objectContaining({ kind: "socket-pair", pair: 5, flags: 0o4002 })]);
		expect(open).toContainEqual([6, expect.objectContaining({ kind: "socket-pair", pair: 5 })]);
		expect(told(found, "descriptor-deduced").slice(1)).toEqual([
			"note descriptor 5: one of a pair of unix sockets (what wakes asyncio's loop)",
			"note descriptor 6: one of a pair of unix sockets (what wakes asyncio's loop)",
		]);
	});

	test.each<readonly [string, BuiltCore]>([
		["is Python's alone", pair(waiting)],
		["has two ends", python(withSocket(waiting, heap + 0x300n, { fd: 5 }))],
		[
			"is of unix sockets",
			python(withSocket(withSocket(waiting, heap + 0x300n, { fd: 5, family: 2 }), heap + 0x400n, { fd: 6 })),
		],
		[
			"never waits",
			python(withSocket(withSocket(waiting, heap + 0x300n, { fd: 5, timeout: -1n }), heap + 0x400n, { fd: 6 })),
		],
		[
			"calls code",
			python(withSocket(withSocket(waiting, heap + 0x300n, { fd: 5, errors: heap }), heap + 0x400n, { fd: 6 })),
		],
	])("%s", (_, core) => {
		expect(deduced(core).task.files.descriptors.map(({ number }) => number)).toEqual([0, 1, 2, 4]);
	});
});
