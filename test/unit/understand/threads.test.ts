import { describe, expect, test } from "vitest";
import {
	deduced,
	ints,
	poke,
	ROBUST,
	RSEQ,
	TID,
	told,
	withGlibc,
	withMusl,
	withRegisters,
	words,
} from "../../support/builders/deduced-core.ts";
import { deadCore, deadPlaces, fsBaseOf, REG } from "../../support/builders/pair.ts";
import { only, present } from "../../support/present.ts";

const TIDS = [500, 501, 502];
const base = (n: number): bigint => fsBaseOf(deadPlaces, n);
const three = deadCore({ tids: TIDS });
const NOTHING = { clearTid: undefined, robustList: undefined, rseq: undefined, tidWords: undefined };

describe("the control blocks of glibc", () => {
	test("tell of each thread what it had registered", () => {
		const { task } = deduced(withGlibc(three));
		expect(task.threads.map(({ tid }) => tid)).toEqual(TIDS);
		for (const [n, thread] of task.threads.entries())
			expect(thread).toMatchObject({
				clearTid: base(n) + TID,
				tidWords: [base(n) + TID],
				robustList: base(n) + ROBUST,
				rseq: { area: base(n) + RSEQ, size: 32, signature: 0x53053053 },
			});
	});

	test("are told in one line", () => {
		expect(told(deduced(withGlibc(three)), "thread-deduced")).toEqual([
			"note 3 threads: control blocks of glibc: thread id at fs_base+0x2d0, robust list at +0x2e0, rseq area at +0x920",
		]);
	});

	test("may hold locks, in a list that leads back", () => {
		const head = base(1) + ROBUST;
		const lock = deadPlaces.heap + 0x40n;
		// the next lock's lowest bit says that it inherits priority
		const locked = poke(poke(withGlibc(three), head - 8n, words(lock, lock | 1n, -32n)), lock, words(head));
		expect(deduced(locked).task.threads[1]?.robustList).toBe(head);
	});

	test.each([
		["leads nowhere", words(0x1000n)],
		["never ends", words(deadPlaces.heap + 0x40n)],
	])("are not believed where the list of one thread %s", (_, next) => {
		const lock = deadPlaces.heap + 0x40n;
		const head = base(1) + ROBUST;
		const broken = poke(poke(withGlibc(three), head - 8n, words(lock, lock)), lock, next);
		const found = deduced(broken);
		for (const thread of found.task.threads) expect({ ...NOTHING, ...thread }).toMatchObject(NOTHING);
		expect(told(found, "thread-state")).toEqual([
			"caution 3 threads: control blocks of an unknown libc at fs_base; no robust list, rseq area or word to clear is registered, and whoever joins a thread waits for ever",
		]);
	});

	test("are not believed where the locks of two threads lie differently", () => {
		const other = poke(withGlibc(three), base(2) + ROBUST + 8n, words(-40n));
		expect(deduced(other).task.threads[0]?.robustList).toBeUndefined();
	});

	test("may say ids of another pid namespace, as gdb's cores from outside a container do", () => {
		const found = deduced(withGlibc(three, (n) => ({ id: n + 7 })));
		expect(found.task.threads[2]?.clearTid).toBe(base(2) + TID);
		expect(told(found, "thread-state")).toEqual([
			"caution 3 threads: the thread ids in memory are those of another pid namespace than the core's",
		]);
	});

	test("are not believed where two say the same id", () => {
		expect(deduced(withGlibc(three, () => ({ id: 7 }))).task.threads[0]?.clearTid).toBeUndefined();
	});

	test("belong to one thread each: one made without TLS has none", () => {
		const found = deduced(withRegisters(withGlibc(three), 502, { [REG.fs_base]: base(0) }));
		expect(found.task.threads[0]?.clearTid).toBe(base(0) + TID);
		expect(present(found.task.threads[2]).clearTid).toBeUndefined();
		expect(told(found, "thread-state")).toEqual([
			"caution thread 502: has no control block of its own; no robust list, rseq area or word to clear is registered",
		]);
	});
});

describe("an rseq area that no variable tells of", () => {
	test("is the only place that looks like one in all threads", () => {
		expect(deduced(withGlibc(three, (n) => ({ cpu: n }))).task.threads[0]?.rseq?.area).toBe(base(0) + RSEQ);
	});

	test("is not found while all threads ran on processor 0: that is what zeros say", () => {
		const found = deduced(withGlibc(three, () => ({ cpu: 0 })));
		expect(found.task.threads.map(({ rseq }) => rseq)).toEqual([undefined, undefined, undefined]);
		expect(only(told(found, "thread-deduced"))).toMatch(/, no rseq area$/);
	});

	test("is not chosen among two", () => {
		const two = TIDS.reduce((core, _, n) => poke(core, base(n) + 0x960n, ints(5, 5)), withGlibc(three));
		expect(deduced(two).task.threads[0]?.rseq).toBeUndefined();
	});

	test("is none while the processor numbers differ", () => {
		const torn = poke(withGlibc(three), base(1) + RSEQ, ints(4, 5));
		expect(deduced(torn).task.threads[0]?.rseq).toBeUndefined();
	});
});

describe("the control blocks of musl", () => {
	test("are known by the ring of all threads", () => {
		const found = deduced(withMusl(three));
		expect(found.task.threads.map(({ tidWords }) => tidWords)).toEqual(TIDS.map((_, n) => [base(n) + 0x30n]));
		expect(found.task.threads[0]?.robustList).toBeUndefined();
		expect(told(found, "thread-deduced")).toEqual([
			"note 3 threads: control blocks of musl: thread id at fs_base+0x30, no robust list, no rseq area",
		]);
		expect(told(found, "thread-state")).toEqual([
			"caution 3 threads: __thread_list_lock of musl was not found (a stripped libc); it is not cleared when one of them ends, and whoever makes or ends a thread after that waits for ever",
		]);
	});

	test("are not believed where the ring is broken", () => {
		const open = poke(withMusl(three), base(1) + 24n, words(base(1)));
		expect(deduced(open).task.threads[0]?.tidWords).toBeUndefined();
	});
});

test("threads without a libc get nothing, and that is said", () => {
	const found = deduced(three);
	expect({ ...NOTHING, ...found.task.threads[0] }).toMatchObject(NOTHING);
	expect(told(found, "thread-state")).toEqual([
		"caution 3 threads: no control block of a libc at fs_base; no robust list, rseq area or word to clear is registered, and whoever joins a thread waits for ever",
	]);
});

test("all threads are called as the leader, as nice as it, and run as ordinary ones", () => {
	const core = withGlibc(three);
	const { threads } = deduced({ ...core, process: { ...core.process, pid: 500, name: "prog", nice: 251 } }).task;
	for (const thread of threads) {
		expect(thread.name).toBe("prog");
		expect(thread.scheduling).toEqual({ nice: -5, policy: 0, priority: 0 });
	}
});
