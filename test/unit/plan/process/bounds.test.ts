import { describe, expect, it } from "vitest";
import { address } from "../../../../src/bytes/address.ts";
import { caution, loss } from "../../../../src/finding.ts";
import { partDraft } from "../../../../src/plan/part.ts";
import { addDumpable } from "../../../../src/plan/process/bounds.ts";
import { executed, planned, taskOf } from "../../../support/builders/memory-task.ts";
import { refusal } from "../../../support/refusal.ts";

describe("planBounds", () => {
	it("gives the kernel bounds, vector, executable and name", () => {
		const auxv = [
			{ type: 6, value: 4096n },
			{ type: 33, value: 0x7fff_1000_0000n },
			{ type: 0, value: 0n },
		];
		const model = executed(taskOf({ mappings: [], auxv }), new Map());
		const { map, auxv: vector, exe, name } = model.bounds;
		expect([exe, name]).toEqual(["/bin/victim", "victim"]);
		const words = Array.from({ length: 11 }, (_, i) => map?.readBigUInt64LE(i * 8));
		expect(words).toEqual([
			...[0x40_1000n, 0x40_2000n, 0x40_3000n, 0x40_4000n, 0x50_0000n, 0x50_0000n, 0x7fff_0000_1000n],
			...[0x7fff_0000_1100n, 0x7fff_0000_1200n, 0x7fff_0000_1200n, 0x7fff_0000_1300n],
		]);
		expect(vector?.length).toBe(32);
		expect([0, 8, 16, 24].map((at) => vector?.readBigUInt64LE(at))).toEqual([6n, 4096n, 33n, 0x7fff_1000_0000n]);
		expect(model.open).toEqual([]);
	});

	it("leaves the executable alone where there is none any more, and says so", () => {
		const task = taskOf({ mappings: [] });
		const gone = { ...task, memory: { ...task.memory, executable: "" } };
		const model = executed(gone, new Map());
		expect(model.bounds.exe).toBeUndefined();
		expect(model.bounds.map?.readUInt32LE(100)).toBe(0xffff_ffff);
		expect(planned(gone).draft.findings).toEqual([
			loss("executable", "executable", "is gone: /proc/PID/exe leads to the restorer's own"),
		]);
	});

	it("leaves the vector alone where none is known", () => {
		expect(executed(taskOf({ mappings: [] }), new Map()).bounds.auxv).toBeUndefined();
	});

	it("says what a vector loses that is too long", () => {
		const auxv = Array.from({ length: 24 }, (_, i) => ({ type: 100 + i, value: 1n }));
		const { draft } = planned(taskOf({ mappings: [], auxv }));
		expect(draft.findings).toEqual([
			caution("auxv-trimmed", "auxiliary vector", "/proc/PID/auxv will lack AT_123, AT_122: the kernel takes 44 words"),
		]);
	});

	it.each<[Readonly<Record<string, bigint>>, string]>([
		[{ argStart: 0n, argEnd: 0n }, "argStart is 0x0, expected 0x10000 to 0x7ffffffff000"],
		[{ envEnd: 1n << 47n }, "envEnd is 0x800000000000, expected 0x10000 to 0x7ffffffff000"],
		[{ brk: 0x20000n }, "startBrk is 0x500000, expected at most brk, 0x20000"],
		[{ endCode: 0x40_1000n }, "startCode is 0x401000, expected less than endCode, 0x401000"],
	])("refuses what the kernel would not take: %$", (bounds, text) => {
		const given = Object.fromEntries(Object.entries(bounds).map(([name, at]) => [name, address(at)]));
		expect(refusal(() => planned(taskOf({ mappings: [], bounds: given })))).toBe(
			`ERR_TASK_UNRUNNABLE bounds of the address space: ${text}`,
		);
	});
});

describe("addDumpable", () => {
	const calls = (dumpable: number) => {
		const draft = partDraft();
		addDumpable(draft.list("leader"), taskOf({ mappings: [], dumpable }), { draft } as never);
		return { args: draft.made().lists[0]?.steps[0]?.args, findings: draft.made().findings.map(({ text }) => text) };
	};

	it.each([0, 1])("sets %i", (dumpable) => {
		expect(calls(dumpable)).toEqual({ args: [4n, BigInt(dumpable), 0n, 0n, 0n], findings: [] });
	});

	it("cannot set 2, and says so", () => {
		expect(calls(2)).toEqual({
			args: [4n, 0n, 0n, 0n, 0n],
			findings: ["was 2, which prctl(2) does not set; 0 comes nearest"],
		});
	});
});
