import { describe, expect, it } from "vitest";
import { address, fileOffset } from "../../../src/bytes/address.ts";
import { caution, loss } from "../../../src/finding.ts";
import type { Descriptor } from "../../../src/forest/files.ts";
import type { Task, Thread } from "../../../src/forest/task.ts";
import { planArming } from "../../../src/plan/files/late.ts";
import { freshIds } from "../../../src/plan/ids.ts";
import { circumstancesFor } from "../../support/builders/made-context.ts";
import { registersOf, siginfoOf, taskOfThreads, threadOf } from "../../support/builders/thread-task.ts";
import { allCapable } from "../../support/models/model-threads.ts";
import { anyKernel, factsOf, planOfThreads, runThreads } from "../../support/models/run-threads.ts";
import { present } from "../../support/present.ts";

// Processes that get the ids 777 (the first) and 1777 and up, instead of 100 and up.

const PID = 100;
const NEW = 777;
const facts = factsOf("amd");
const PAGE = { start: address(0x10_0000n), end: address(0x10_1000n) };
const word = (at: number): ReturnType<typeof address> => address(PAGE.start + BigInt(at));

const writable: Task["memory"]["mappings"][number] = {
	...{ ...PAGE, prot: 3, shared: false, backing: { kind: "anonymous" }, flags: 0, advice: 0n },
};
const memoryOf = (contents: Uint8Array = new Uint8Array(4096), prot = 3): Task["memory"] => ({
	...taskOfThreads([]).memory,
	mappings: [{ ...writable, prot }],
	contents: [
		{
			...{ start: PAGE.start, length: 4096n, offset: fileOffset(0n), available: 4096n },
			source: {
				...{ name: "pages", size: 4096n, close: () => {} },
				read: (at, length) => Buffer.from(contents.subarray(Number(at), Number(at) + length)),
			},
		},
	],
});

const run = (threads: readonly Thread[], more: Partial<Task> = {}) => {
	const plan = planOfThreads(taskOfThreads(threads, { memory: memoryOf(), ...more }), facts, true);
	const ran = runThreads(plan, facts, anyKernel({ credentials: allCapable() }), { pid: NEW, ranges: [PAGE] });
	expect(ran.failed).toEqual([]);
	return { plan, ...ran };
};
const at = (memory: ReturnType<typeof run>["memory"], offset: number): number =>
	Buffer.from(memory.read(word(offset), 4)).readInt32LE();

describe("a plan with new ids", () => {
	it("lets every thread live under whatever id it gets", () => {
		const { outcome, process } = run([threadOf(PID), threadOf(101), threadOf(102)]);
		expect(outcome.left.map(({ tid }) => tid).sort()).toEqual([1777, 1778, NEW]);
		expect([outcome.waiting, outcome.exited]).toEqual([[], []]);
		expect([process.session, process.group]).toEqual([NEW, NEW]);
	});

	it("counts the processor time of the first thread where a timer counted that of another", () => {
		const timer = { signal: 10, notify: 0, value: 0n, remaining: 0n, interval: 0n, overrun: 0 };
		const clocks = [(~PID << 3) | 2, (~PID << 3) | 6, (~101 << 3) | 6, (~4711 << 3) | 2];
		const posixTimers = clocks.map((clock, id) => ({ ...timer, id, clock }));
		const { plan, process } = run([threadOf(PID), threadOf(101)], { posixTimers });
		expect([...process.timers.values()].map(({ clock }) => clock)).toEqual([-6, -2, -2, (~4711 << 3) | 2]);
		expect(plan.findings.filter(({ code }) => code === "timers")).toEqual([
			loss("timers", "timer 2", "counted the processor time of thread 101; under new ids it counts the first's"),
		]);
	});

	it("tells where the new ids appear, by the old ones", () => {
		const { plan, memory, encoded } = run([threadOf(PID), threadOf(101)]);
		const found = [...present(plan.newIds)].map(([old, cell]) => [
			old,
			Buffer.from(memory.read(encoded.addressOf(cell), 8)).readBigUInt64LE(),
		]);
		expect(found).toEqual([
			[PID, BigInt(NEW)],
			[101, 1777n],
		]);
	});

	it("writes four bytes into each word of a thread library, and nothing beside", () => {
		const { memory } = run([
			threadOf(PID, { tidWords: [word(8)] }),
			threadOf(101, { tidWords: [word(16), word(0x100)] }),
		]);
		expect([8, 16, 0x100].map((offset) => at(memory, offset))).toEqual([NEW, 1777, 1777]);
		expect([4, 12, 20, 0x104].map((offset) => at(memory, offset))).toEqual([0, 0, 0, 0]);
	});

	it("says of which threads no such word is known, and which may not be written to", () => {
		const known = (threads: readonly Thread[], prot: number) =>
			planOfThreads(taskOfThreads(threads, { memory: memoryOf(new Uint8Array(4096), prot) }), facts, true).findings;
		expect(known([threadOf(PID)], 3)).toEqual([
			caution(
				"ids",
				"thread 100",
				"gets a new id, and where its thread library keeps it is not known; what goes by it there may fail",
			),
		]);
		expect(known([threadOf(PID, { tidWords: [word(0xffe)] })], 3)[0]?.text).toBe(
			"is said to keep its id at 0x100ffe, which cannot be written to; it keeps the old one there",
		);
		expect(known([threadOf(PID, { tidWords: [word(8)] })], 1)[0]?.text).toMatch(/^is said to keep its id at 0x100008/);
	});

	it("names robust mutexes that a thread holds", () => {
		const contents = Buffer.alloc(4096);
		contents.writeBigUInt64LE(word(0x40), 0x80);
		contents.writeBigUInt64LE(word(0xc0), 0xc0);
		const thread = threadOf(PID, { tidWords: [word(8)], robustList: word(0x80) });
		const idle = threadOf(101, { tidWords: [word(16)], robustList: word(0xc0) });
		const { plan } = run([thread, idle], { memory: memoryOf(contents) });
		expect(plan.findings).toEqual([
			loss("ids", "thread 100", "held robust mutexes, which name it by its old id; it cannot unlock them"),
		]);
	});

	it("sends pending signals to the new ids", () => {
		const info = siginfoOf(12, 0);
		const { process } = run([threadOf(PID), threadOf(101, { pending: [info] })], { pending: [siginfoOf(10, 0)] });
		expect(process.pending).toHaveLength(1);
		expect(process.threads.get(1777)?.pending).toHaveLength(1);
	});

	it("makes timers for the threads that now have their part", () => {
		const timer = { clock: 1, signal: 34, value: 7n, remaining: 5n, interval: 0n, overrun: 0 };
		const { process } = run([threadOf(PID), threadOf(101)], {
			posixTimers: [
				{ ...timer, id: 0, notify: 4, thread: 101 },
				{ ...timer, id: 1, notify: 4 },
				{ ...timer, id: 2, notify: 0 },
			],
		});
		expect([0, 1, 2].map((id) => process.timers.get(id)?.thread)).toEqual([1777, NEW, 0]);
		expect(process.timers.get(0)).toMatchObject({ value: 7n, signal: 34, notify: 4 });
	});

	it("stores nothing in the words that the kernel clears", () => {
		const { process, memory } = run([threadOf(PID, { clearTid: word(8), registers: registersOf(1n) })]);
		expect(process.threads.get(NEW)?.clearTid).toBe(word(8));
		expect(at(memory, 8)).toBe(0);
	});
});

describe("owners of descriptors", () => {
	const owned = (type: number, pid: number): Descriptor => ({
		number: 3,
		closeOnExec: false,
		description: { kind: "eventfd", id: 1, flags: 0, counter: 0n, owner: { type, pid, signal: 0 } },
	});
	const callsFor = (type: number, pid: number): string[] => {
		const task = taskOfThreads([threadOf(PID), threadOf(101)], { files: { descriptors: [owned(type, pid)] } });
		const context = circumstancesFor(64);
		const { draft } = context;
		planArming(task, { ...context, ids: freshIds(task) }, { fds: new Map(), missing: "error" });
		return present(draft.made().lists[0]).steps.map(({ call }) => call);
	};

	it.each([
		["a thread of the process", 0, 101, true],
		["the process", 1, PID, true],
		["the group that it leads", 2, PID, true],
		["another process", 1, 4000, false],
		["another group", 2, 101, false],
	])("are renamed: %s", (_, type, pid, renamed) => {
		expect(callsFor(type, pid)).toEqual([...(renamed ? ["process_vm_writev"] : []), "fcntl"]);
	});
});
