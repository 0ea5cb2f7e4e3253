import { describe, expect, it } from "vitest";
import { fileOffset } from "../../../src/bytes/address.ts";
import { fromBuffer } from "../../../src/bytes/source.ts";
import { forestOf, isShared } from "../../../src/forest/forest.ts";
import type { Task } from "../../../src/forest/task.ts";
import { smallTask } from "../../support/builders/small-task.ts";

const withId = (pid: number, { identity, ...task }: Task): Task => ({ ...task, identity: { ...identity, pid } });

describe("a forest", () => {
	it("knows who has what, in the order of its processes", () => {
		const pipe = { id: 9 };
		const [reader, writer] = [0, 1].map((flags) => ({ kind: "pipe" as const, id: flags + 1, flags, pipe }));
		if (reader === undefined || writer === undefined) throw new Error("two ends");
		const object = { id: 4, size: 4096n, contents: [] };
		const { shared } = forestOf([
			withId(5, smallTask({ open: [reader, reader], memory: { objects: [object] } })),
			withId(3, smallTask({ open: [writer], memory: { objects: [object] } })),
		]);
		expect([...shared.descriptions]).toEqual([
			[1, { thing: reader, by: [5] }],
			[2, { thing: writer, by: [3] }],
		]);
		expect([...shared.pipes]).toEqual([[9, { thing: pipe, by: [5, 3] }]]);
		expect([...shared.objects.values()].map(isShared)).toEqual([true]);
	});

	it("takes ends of a pipe that say the same of it for one pipe", () => {
		const ends = [0, 1].map((flags) => ({ kind: "pipe" as const, id: flags + 1, flags, pipe: { id: 9, capacity: 7 } }));
		expect(forestOf([smallTask({ open: ends })]).shared.pipes.size).toBe(1);
	});

	it("also where both say what waits in it, as the byte of libuv's lock", () => {
		const source = fromBuffer("core", Buffer.alloc(8));
		const end = (flags: number, offset: number) => {
			const content = { source, offset: fileOffset(offset), length: 1n, available: 1n };
			return { kind: "pipe" as const, id: flags + 1, flags, pipe: { id: 9, content } };
		};
		expect(forestOf([smallTask({ open: [end(0, 3), end(1, 3)] })]).shared.pipes.size).toBe(1);
		expect(() => forestOf([smallTask({ open: [end(0, 3), end(1, 4)] })])).toThrow(RangeError);
	});

	it("has one thing behind one id", () => {
		const [one, two] = [4096n, 8192n].map((size) =>
			smallTask({ memory: { objects: [{ id: 4, size, contents: [] }] } }),
		);
		if (one === undefined || two === undefined) throw new Error("two tasks");
		expect(() => forestOf([withId(5, one), withId(3, two)])).toThrow(
			new RangeError("shared object 4 is one thing to process 5 and another to 3"),
		);
	});
});
