import { describe, expect, it } from "vitest";
import { AGENT_ROOM, agentLayout } from "../../../src/agent/layout.ts";
import type { Address } from "../../../src/bytes/address.ts";
import * as abi from "../../../src/program/abi.ts";
import { assemble } from "../../../src/program/assemble.ts";
import { bytesDatum, cellDatum, spaceDatum } from "../../../src/program/data.ts";
import { HOLE, PID, planOf } from "../../support/builders/plan-builder.ts";
import { flatMemory, runModel } from "../../support/models/model-kernel.ts";
import { refusal } from "../../support/refusal.ts";

const small = (length: bigint) => ({ start: HOLE.start, end: (HOLE.start + length) as Address });

describe("assemble", () => {
	it("leaves the agent what the agent keeps", () => {
		expect(abi.AGENT_ROOM).toBe(AGENT_ROOM);
		const encoded = assemble(planOf(() => {}));
		expect(encoded.blob).toBe(agentLayout(HOLE).blob);
		expect(encoded.contextAt).toBe(agentLayout(HOLE).free.start);
	});

	it("sends what has content in one piece, and nothing for what is zero", () => {
		const encoded = assemble(
			planOf((draft) => {
				const stack = spaceDatum("stack", 65_536, 4096);
				const frame = bytesDatum("frame", Uint8Array.of(1, 2, 3), { align: 64, pointers: [] });
				draft.list("leader").add("leave", "munmap", [{ ...stack, offset: 65_536 }, frame], "goes");
			}),
		);
		expect(encoded.pieces.map(({ at, bytes }) => [at - HOLE.start, bytes.length])).toEqual([[AGENT_ROOM, 72 + 2 * 72]]);
		expect(encoded.zeros.start).toBe(HOLE.start + AGENT_ROOM + 216n);
		expect(encoded.zeros.end).toBe(encoded.end);
		// the stack begins on the next page
		expect(encoded.end - HOLE.start).toBe(AGENT_ROOM + 4096n + 65_536n);
	});

	it("refuses a plan that is larger than its hole, by what it takes", () => {
		const write = (draft: Parameters<Parameters<typeof planOf>[0]>[0]) =>
			draft.list("leader").add("fill", "munmap", [spaceDatum("buffer", 100_000, 8), 0n], "too much");
		expect(refusal(() => assemble(planOf(write, { hole: small(0x5_0000n) })))).toBe(
			"ERR_UNSUPPORTED plan of pid 5739: takes 364544 bytes, expected at most 327680, the room that was set aside for it",
		);
		expect(assemble(planOf(write, { hole: small(364_544n) })).end).toBe(HOLE.start + 364_544n);
	});

	it("refuses to fail at a step that is none", () => {
		const plan = planOf((draft) => draft.list("leader").add("identity", "setsid", [], "a session"));
		for (const failStep of [0, 2, -1, 1.5])
			expect(refusal(() => assemble(plan, { failStep }))).toBe(
				`ERR_USAGE step ${failStep}: is not in the plan, expected 1 to 1`,
			);
	});

	it("makes also such a step fail that may return anything", () => {
		const plan = planOf((draft) =>
			draft.list("leader").add("credentials", "umask", [0o22n], "permissions", { expect: "anything" }),
		);
		const { pieces, firstStep, contextAt } = assemble(plan, { failStep: 1 });
		const { reports, exited } = runModel({
			...{ pieces, memory: flatMemory([HOLE]), models: [], pid: PID },
			...{ steps: firstStep("leader"), context: contextAt },
		});
		expect(reports).toEqual([{ task: 5739n, id: 1n, result: -38n }]);
		expect(exited).toEqual([{ tid: PID, status: 111, group: true }]);
	});

	it("finds mistakes of the plan", () => {
		const stray = planOf(() => {}).context;
		const broken = (write: Parameters<typeof planOf>[0]) => () => assemble(planOf(write));
		const without = planOf((draft) => draft.list("leader").add("map", "munmap", [stray, 0n], ""));
		expect(() => assemble({ ...without, data: without.data.filter((datum) => datum !== stray.datum) })).toThrow(
			new RangeError("report socket is not in the plan"),
		);
		expect(broken((draft) => draft.list("leader").add("map", "spawn", [0n, 0n, 0n, { list: "thread 2" }], ""))).toThrow(
			new RangeError("the plan has no list thread 2"),
		);
		expect(broken((draft) => draft.list("leader").add("map", "brk", [{ ...cellDatum("c"), offset: 9 }], ""))).toThrow(
			new RangeError("byte 9 of c, which has 8"),
		);
		expect(
			broken((draft) => draft.list("leader").add("map", "getpid", [], "", { save: { ...cellDatum("c"), offset: 1 } })),
		).toThrow(new RangeError("8 bytes do not fit c"));
		expect(
			broken((draft) => draft.list("leader").add("map", "brk", [bytesDatum("b", new Uint8Array(8), { align: 3 })], "")),
		).toThrow(new RangeError("an alignment of 3 bytes"));
		expect(
			broken((draft) => {
				const b = bytesDatum("b", new Uint8Array(8), { pointers: [{ at: 1, to: cellDatum("c") }] });
				draft.list("leader").add("map", "brk", [b], "");
			}),
		).toThrow(new RangeError("a pointer at byte 1 of b"));
	});
});

describe("a plan of a leader and a thread, run", () => {
	const withThread = planOf((draft, context) => {
		const ready = cellDatum("ready of 5741");
		const go = cellDatum("go");
		const ids = bytesDatum("tid", Uint8Array.of(0x6d, 0x16, 0, 0), { align: 4 });
		const raw = Buffer.alloc(88);
		raw.writeBigUInt64LE(0x1_0100n, 0);
		raw.writeBigUInt64LE(1n, 72);
		const args = bytesDatum("clone_args", raw, { pointers: [{ at: 64, to: ids }] });
		const reports = cellDatum("descriptor of reports");
		const report = spaceDatum("ready", 24);
		const leader = draft.list("leader");
		leader.add("identity", "fcntl", [4n, 1030n, 64n], "reports", { save: reports });
		leader.add("threads", "spawn", [args, 88n, context, { list: "thread 5741" }], "a thread", {
			expect: { exactly: 5741n },
		});
		leader.add("leave", "await", [ready, 5741n], "the thread is ready");
		leader.add("leave", "write", [{ valueOf: reports }, report, 24n], "ready", { expect: { exactly: 24n } });
		leader.add("leave", "read", [{ valueOf: reports }, spaceDatum("word", 8), 1n], "go", {
			expect: { exactly: 1n },
			save: go,
		});
		leader.add("leave", "futex", [go, 1n, 0x7fff_ffffn, 0n, 0n, 0n], "all may go");
		leader.add("leave", "leave", [spaceDatum("frame 5739", 64)], "its own life");
		const thread = draft.list("thread 5741");
		thread.add("threads", "gettid", [], "says so", { save: ready });
		thread.add("leave", "await", [go, 1n], "waits for all");
		thread.add("leave", "leave", [spaceDatum("frame 5741", 64)], "its own life");
	});

	const run = (failStep?: number) => {
		const encoded = assemble(withThread, failStep === undefined ? {} : { failStep });
		return runModel({
			...{ pieces: encoded.pieces, memory: flatMemory([HOLE]), models: [], pid: PID },
			...{ steps: encoded.firstStep("leader"), context: encoded.contextAt },
		});
	};

	it("ends with both gone their way", () => {
		const { left, reports, exited, waiting, calls } = run();
		expect(left.map(({ tid }) => tid)).toEqual([PID, 5741]);
		expect(reports).toEqual([{ task: 0n, id: 0n, result: 0n }]);
		expect([exited, waiting]).toEqual([[], []]);
		// what was saved is what the later step got
		expect(calls.find(({ number }) => number === 1)?.args[0]).toBe(64n);
	});

	it("fails at every step, tells which, and leaves nobody", () => {
		const total = withThread.lists.reduce((sum, { steps }) => sum + steps.length, 0);
		for (let id = 1; id <= total; id++) {
			const { reports, exited } = run(id);
			expect(reports.at(-1)).toEqual({ task: 5739n, id: BigInt(id), result: -38n });
			expect(exited).toContainEqual(expect.objectContaining({ status: 111, group: true }));
		}
	});
});
