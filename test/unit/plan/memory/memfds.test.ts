import { describe, expect, it } from "vitest";
import { fileOffset } from "../../../../src/bytes/address.ts";
import { fromBuffer } from "../../../../src/bytes/source.ts";
import type { MemfdDescription } from "../../../../src/descriptors/memfd.ts";
import type { Descriptor } from "../../../../src/forest/files.ts";
import type { Mapping, SharedObject, Task } from "../../../../src/forest/task.ts";
import { stepText } from "../../../../src/program/text.ts";
import {
	executed,
	expectedAreas,
	expectedPage,
	inObject,
	mapping,
	PAGE,
	PAGES,
	pagesFile,
	planned,
	taskOf,
} from "../../../support/builders/memory-task.ts";
import { present } from "../../../support/present.ts";
import { refusal } from "../../../support/refusal.ts";

const AT = 0x7000_0000_0000n;
const shared = { shared: true };
const pages = pagesFile(16, 1);
const files = new Map([[PAGES, pages]]);
const [SEALING, HUGETLB, NOEXEC] = [2, 4, 8];
const SEAL = { SEAL: 1, SHRINK: 2, GROW: 4, WRITE: 8, FUTURE: 0x10, EXEC: 0x20 };

const cache = (more: Partial<SharedObject> = {}): SharedObject => ({
	...{ id: 1, name: "cache", size: BigInt(2 * PAGE), mode: 0o100640, uid: 5, gid: 6, seals: 1, memfdFlags: 0 },
	contents: [
		{
			...{ start: fileOffset(0n), length: BigInt(PAGE), available: BigInt(PAGE) },
			...{ source: fromBuffer(PAGES, pages), offset: fileOffset(3 * PAGE) },
		},
	],
	...more,
});

const memfd = (number: number, more: Partial<MemfdDescription> = {}, closeOnExec = false): Descriptor => ({
	number,
	closeOnExec,
	description: { kind: "memfd", id: 40, flags: 0o100002, name: "cache", object: 1, position: 0n, ...more },
});

const taskWith = (
	descriptors: readonly Descriptor[],
	objects: readonly SharedObject[] = [cache()],
	mappings: readonly Mapping[] = [],
): Task => taskOf({ mappings, objects, descriptors });

/** Carried out by the model; memory is as the task has it. */
function lived(task: Task, facts: Parameters<typeof executed>[2] = {}): ReturnType<typeof executed> {
	const model = executed(task, files, facts);
	expect(model.areas()).toEqual(expectedAreas(task));
	for (const { start, end } of task.memory.mappings)
		for (let at: bigint = start; at < end; at += BigInt(PAGE))
			expect(model.page(at)).toEqual(expectedPage(task, at, files));
	return model;
}

const inode = (model: ReturnType<typeof executed>, number: number) =>
	present(model.table.get(number)).description.inode;

describe("descriptors of memfds", () => {
	it("show the object that is mapped, with its owner and permissions; nothing else stays open", () => {
		const model = lived(taskWith([memfd(7)], [cache()], [mapping(AT, 2, inObject(1), shared)]));
		expect([...model.table.keys()]).toEqual([7]);
		expect(inode(model, 7)).toBe(model.behind(AT));
		expect(inode(model, 7)).toMatchObject({ name: "memfd:cache", size: 8192n, mode: 0o640, owner: [5, 6] });
		expect(inode(model, 7).pages.get(0n)).toEqual(pages.subarray(3 * PAGE, 4 * PAGE));
	});

	it("need no mapping, and no bytes", () => {
		const empty = cache({ id: 2, name: "empty", contents: [], size: 5000n });
		const model = lived(taskWith([memfd(3), memfd(4, { id: 41, object: 2, name: "empty" })], [cache(), empty]));
		expect(inode(model, 3).pages.get(0n)).toEqual(pages.subarray(3 * PAGE, 4 * PAGE));
		expect(inode(model, 4)).toMatchObject({ name: "memfd:empty", size: 5000n });
		expect(model.areas()).toEqual([]);
	});

	it("share a description where they did; others are opened once more, with their own flags and offsets", () => {
		const model = lived(
			taskWith([
				memfd(0, { id: 41, flags: 0o100000, position: 9n }, true),
				memfd(2, { id: 42, flags: 0o102002, position: 77n }),
				memfd(5, { id: 42, flags: 0o102002, position: 77n }, true),
				memfd(9, { id: 43, flags: 0o100002 }),
			]),
		);
		const open = (number: number) => present(model.table.get(number));
		expect([...model.table.keys()].sort()).toEqual([0, 2, 5, 9]);
		expect(open(2).description).toBe(open(5).description);
		expect([0, 2, 5, 9].map((number) => open(number).closeOnExec)).toEqual([true, false, true, false]);
		expect([0, 2, 9].map((number) => open(number).description)).toMatchObject([
			{ flags: 0o100000, position: 9n },
			{ flags: 0o102002, position: 77n },
			{ flags: 0o100002, position: 0n },
		]);
		expect(new Set([0, 2, 5, 9].map((number) => inode(model, number))).size).toBe(1);
	});

	it("are opened for writing no more often than they were: what is written to cannot be executed", () => {
		const { calls } = planned(taskWith([memfd(2), memfd(5, { id: 41, flags: 0o100000 })]));
		const opened = planned(taskWith([memfd(2), memfd(5, { id: 41, flags: 0o100000 })])).steps.filter(
			({ call, why }) => call === "openat" && why.startsWith("memfd"),
		);
		expect(calls.filter((call) => call.startsWith("memfd_create"))).toHaveLength(1);
		expect(opened.map(({ args }) => Number(args[2]) & 3)).toEqual([0]);
	});

	it("get their seals when all is written and mapped", () => {
		const seals = SEAL.SHRINK | SEAL.GROW | SEAL.FUTURE;
		const object = cache({ seals, memfdFlags: SEALING });
		const model = lived(taskWith([memfd(3)], [object], [mapping(AT, 2, inObject(1), shared)]));
		expect(inode(model, 3).seals).toBe(seals);
		const sealing = model.calls.indexOf("fcntl 43 409 16");
		expect(sealing).toBeGreaterThan(0);
		expect(
			model.calls.slice(sealing + 1).filter((call) => /^(?:mmap|pread|ftruncate|fch|mprotect)/.test(call)),
		).toEqual([]);
	});

	it("are never writable again where F_SEAL_WRITE says so: mapped by a descriptor that only reads, filled aside", () => {
		const object = cache({ seals: SEAL.SEAL | SEAL.SHRINK | SEAL.GROW | SEAL.WRITE, memfdFlags: SEALING });
		const map = mapping(AT, 2, inObject(1), { ...shared, prot: 1 });
		const model = lived(taskWith([memfd(3)], [object], [map]));
		expect(inode(model, 3).seals).toBe(15);
		const none = mapping(AT, 2, inObject(1), { ...shared, prot: 1 });
		expect(lived(taskWith([], [object], [none])).open).toEqual([]);
	});

	it("keep a mapping read-only that was made by a descriptor that only reads, or under F_SEAL_FUTURE_WRITE", () => {
		const reader = mapping(
			AT,
			1,
			{ kind: "object", object: 1, offset: fileOffset(0), writable: false },
			{
				...shared,
				prot: 1,
			},
		);
		const future = cache({ seals: SEAL.FUTURE, memfdFlags: SEALING });
		const readers = (task: Task): number =>
			planned(task).steps.filter(({ why }) => why === "memfd cache, to be read only").length;
		expect(readers(taskWith([], [cache()], [reader]))).toBe(1);
		expect(readers(taskWith([], [future], [mapping(AT, 1, inObject(1), { ...shared, prot: 1 })]))).toBe(1);
		expect(readers(taskWith([], [cache()], [mapping(AT, 1, inObject(1), { ...shared, prot: 1 })]))).toBe(0);
		lived(taskWith([memfd(3)], [cache()], [reader]));
	});

	it("can be executed or never will be, said aloud where the kernel knows the word", () => {
		const how = (more: Partial<SharedObject>, memfdExec: boolean): string =>
			present(
				planned(taskWith([memfd(3)], [cache(more)]), { memfdExec }).calls.find((it) => it.startsWith("memfd_create")),
			);
		const never = { seals: SEAL.EXEC, memfdFlags: SEALING | NOEXEC, mode: 0o100666 };
		expect([how({}, true), how({}, false)]).toEqual(["memfd_create @ 11", "memfd_create @ 1"]);
		expect([how(never, true), how(never, false)]).toEqual(["memfd_create @ b", "memfd_create @ 3"]);
		expect(how({ ...never, mode: 0o100755 }, true)).toBe("memfd_create @ 13");
		const model = lived(taskWith([memfd(3)], [cache(never)]), { memfdExec: true });
		expect(inode(model, 3)).toMatchObject({ seals: SEAL.EXEC, mode: 0o666 });
	});

	it("have the huge pages they had", () => {
		const huge = cache({ memfdFlags: HUGETLB | (21 << 26), size: 1n << 21n, contents: [] });
		expect(planned(taskWith([memfd(3)], [huge])).calls).toContain("memfd_create @ 54000005");
	});

	it("need no window for a piece of no bytes", () => {
		const [piece] = cache().contents;
		const object = cache({ contents: [{ ...present(piece), length: 0n, available: 0n }] });
		expect(inode(lived(taskWith([memfd(3)], [object])), 3).size).toBe(8192n);
	});

	it("are not read further than their bytes go: one of mostly holes may be larger than any address space", () => {
		const vast = cache({ size: 1n << 62n });
		const model = lived(taskWith([memfd(3)], [vast]));
		expect(inode(model, 3)).toMatchObject({ size: 1n << 62n });
	});

	it("stay the restorer's where it may not give them away, and that is said", () => {
		const user = { uid: 1000, gid: 1000, groups: [6] };
		const capabilities = { permitted: 0n, bounding: 0n };
		const told = (more: Partial<SharedObject>, facts: Parameters<typeof planned>[1]) => {
			const { draft, calls } = planned(taskWith([memfd(3)], [cache(more)]), facts);
			return [
				calls.filter((call) => call.startsWith("fchown")).length,
				draft.findings.flatMap(({ subject, text }) => (subject === "memfd cache" ? [text] : [])),
			];
		};
		const lost = (uid: number): string => `belonged to ${uid}, group 6; it belongs to the restorer now`;
		expect(told({}, { user, capabilities })).toEqual([0, [lost(5)]]);
		expect(told({ uid: 1000 }, { user, capabilities })).toEqual([1, []]);
		expect(told({}, { user, capabilities: { ...capabilities, permitted: 1n } })).toEqual([1, []]);
		expect(told({}, { userNamespace: { uid: 5, gid: 6 } })).toEqual([1, []]);
		expect(told({}, { userNamespace: { uid: 0, gid: 6 } })).toEqual([0, [lost(5)]]);
	});

	it("are told in words", () => {
		const object = cache({ seals: SEAL.SEAL | SEAL.WRITE, memfdFlags: SEALING });
		const lines = planned(taskWith([memfd(3)], [object])).steps.map(stepText);
		expect(lines).toContain(
			'memfd_create("cache", MFD_CLOEXEC|MFD_ALLOW_SEALING) = success -> [descriptor of memfd cache]',
		);
		expect(lines).toContain("fcntl(67, F_ADD_SEALS, F_SEAL_SEAL|F_SEAL_WRITE) = success");
		expect(lines).toContain("fchmod(67, 0640) = success");
	});
});

describe("memfds that contradict themselves are refused", () => {
	it.each<[string, Task, string]>([
		[
			"a descriptor of nothing",
			taskWith([memfd(3, { object: 9 })]),
			"ERR_TASK_UNRUNNABLE descriptor 3: shows shared object 9, which is not there",
		],
		[
			"bytes in one that has none",
			taskWith([memfd(3)], [cache({ size: 0n })]),
			"ERR_TASK_UNRUNNABLE /images/pages-1.img: holds bytes up to 0x1000 of a shared object, which has 0",
		],
		[
			"a writable mapping of a sealed one",
			taskWith([], [cache({ seals: SEAL.WRITE, memfdFlags: SEALING })], [mapping(AT, 1, inObject(1), shared)]),
			"ERR_TASK_UNRUNNABLE mapping 0x700000000000: is shared and writable, but memfd cache is sealed against writing",
		],
		[
			"a size that no file has",
			taskWith([memfd(3)], [cache({ size: 1n << 63n, contents: [] })]),
			"ERR_TASK_UNRUNNABLE memfd cache: has 0x8000000000000000 bytes, expected less than 2^63",
		],
		[
			"a name with a NUL",
			taskWith([memfd(3)], [cache({ name: "a\0b" })]),
			"ERR_TASK_UNRUNNABLE name of memfd a\0b: has a NUL as byte 1, but 3 bytes",
		],
	])("%s", (_, task, message) => {
		expect(refusal(() => planned(task))).toBe(message);
	});
});
