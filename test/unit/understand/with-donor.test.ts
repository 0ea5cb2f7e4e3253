import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { address } from "../../../src/bytes/address.ts";
import { fromBuffer } from "../../../src/bytes/source.ts";
import { readCore } from "../../../src/core/core.ts";
import { openImageDir } from "../../../src/criu/image-dir.ts";
import { taskFromImages } from "../../../src/images/read/from-images.ts";
import { taskFromCore } from "../../../src/understand/from-core/from-core.ts";
import type { Understood } from "../../../src/understand/understand.ts";
import { type BuiltCore, buildCore } from "../../support/builders/core-builder.ts";
import { ARG, poke, withRegisters, words } from "../../support/builders/deduced-core.ts";
import { type BuiltDonor, memfdFile, writeDonor } from "../../support/builders/donor-builder.ts";
import {
	changeSegment,
	deadCore,
	deadPlaces,
	donorPlaces,
	EXE,
	filled,
	livingDonor,
	P,
	withSegment,
	withVma,
} from "../../support/builders/pair.ts";
import { understoodWith } from "../../support/builders/understood.ts";
import { scratch } from "../../support/scratch.ts";

const { exe, heap } = deadPlaces;

function completed(
	core: BuiltCore,
	donor: BuiltDonor = livingDonor(),
	options: Parameters<typeof understoodWith>[2] = {},
): Understood {
	const dir = openImageDir(writeDonor(join(scratch(), "d"), donor));
	try {
		return understoodWith(taskFromCore(readCore(fromBuffer("core", buildCore(core)))), taskFromImages(dir), options);
	} finally {
		dir.close();
	}
}

const heapOf = (...arguments_: Parameters<typeof completed>): bigint[] => {
	const { bounds } = completed(...arguments_).task.memory;
	return [bounds.startBrk, bounds.brk];
};

const died = {
	...{ weight: "note", code: "fatal-signal", subject: "thread 500" },
	text: "died of SIGABRT; it goes on where it was",
};

describe("findings", () => {
	test("say of a thread that had raised its signal itself that it stands behind the call, a donor or none", () => {
		const inKill = withRegisters(deadCore(), 500, { [ARG.orig_ax]: 62n });
		expect(completed(inKill).findings).toContainEqual({
			...{ weight: "caution", code: "fatal-signal", subject: "thread 500" },
			text: "died of SIGABRT; it had raised that itself, and goes on behind the call: abort(3) ends it again, and so may its own handler",
		});
	});

	test("say again what the donor had lost when it was dumped", () => {
		const dir = openImageDir(writeDonor(join(scratch(), "d"), livingDonor()));
		const dead = taskFromCore(readCore(fromBuffer("core", buildCore(deadCore()))));
		const donor = { ...taskFromImages(dir), losses: [{ subject: "descriptor 7", text: "was a socket; it is closed" }] };
		dir.close();
		const { findings, task } = understoodWith(dead, donor);
		expect(findings).toContainEqual({
			...{ weight: "loss", code: "lost-at-dump", subject: "descriptor 7" },
			text: "the donor lost it at its dump: was a socket; it is closed",
		});
		expect(task.losses).toEqual(donor.losses);
	});

	test("say that a mask is that of a sleep, and what has handlers is blocked outside of it", () => {
		const asleep = (call: bigint, ax: bigint) =>
			completed(
				withRegisters(deadCore(), 500, { [ARG.orig_ax]: call, [ARG.di]: 0x1000n, [ARG.ax]: BigInt.asUintN(64, ax) }),
			);
		const { task, findings } = asleep(130n, -514n);
		const handled = task.signalActions.filter(({ handler }) => handler > 1n).map(({ signal }) => signal);
		expect(handled).toEqual([2]);
		expect(task.threads[0]?.blocked).toBe(1n << 1n);
		expect(findings.filter(({ code }) => code === "masks-lost")).toEqual([
			{
				...{ weight: "caution", code: "masks-lost", subject: "thread 500" },
				text: "slept in rt_sigsuspend, and the core has its signal mask for that sleep alone; outside of it, it is taken to block what the process has handlers for: SIGINT",
			},
		]);
		// a handler had begun, or another call slept
		expect(asleep(130n, 0n).task.threads[0]?.blocked).toBe(0n);
		expect(asleep(35n, -514n).task.threads[0]?.blocked).toBe(0n);
	});

	test("say so of pselect(2), whose last argument leads to the mask", () => {
		const R9 = 8;
		const asleep = (mask: bigint) =>
			completed(
				withRegisters(poke(deadCore(), heap, words(mask, 8n)), 500, {
					...{ [ARG.orig_ax]: 270n, [ARG.ax]: BigInt.asUintN(64, -514n), [R9]: heap },
				}),
			);
		expect(asleep(heap + 64n).task.threads[0]?.blocked).toBe(1n << 1n);
		// as select(3) calls it
		expect(asleep(0n).task.threads[0]?.blocked).toBe(0n);
	});

	test("of a dead process that fits its donor are notes", () => {
		const { findings } = completed(deadCore());
		expect(findings).toEqual([
			died,
			{
				weight: "note",
				code: "brk-guessed",
				subject: "program break 0x555555574000",
				text: "the end of the heap mapping; libc's own variable was not found",
			},
			{
				weight: "note",
				code: "handlers-from-donor",
				subject: "1 signal handler",
				text: "as the donor had set them, moved to this layout",
			},
			{ weight: "note", code: "files-from-donor", subject: "1 descriptor", text: "3: /var/log/prog" },
		]);
	});

	test("of one that a break is known of, with nothing to carry, is what no core knows", () => {
		const donor = { ...livingDonor(), actions: {}, descriptors: [] };
		expect(completed(deadCore(), donor, { programBreak: address(heap + 0x3210n) }).findings).toEqual([died]);
	});
});

test("each thread has its lender", () => {
	const core = deadCore({ tids: [500, 501, 502] });
	const { donorThreads } = completed(
		{ ...core, threads: [...core.threads].reverse() },
		livingDonor({ tids: [200, 209] }),
	);
	expect([...donorThreads].sort()).toEqual([
		[500, 200],
		[501, 209],
		[502, 200],
	]);
});

describe("the heap", () => {
	test("is the first writable anonymous mapping above the program", () => {
		expect(heapOf(deadCore())).toEqual([heap, heap + 4n * P]);
	});

	test("ends at the break that libc knows, inside its last page", () => {
		expect(heapOf(deadCore(), livingDonor(), { programBreak: address(heap + 0x3210n) })).toEqual([
			heap,
			heap + 0x3210n,
		]);
	});

	test("is no mapping that does not hold the break", () => {
		const at = address(heap + 0x100_0000n);
		expect(heapOf(deadCore(), livingDonor(), { programBreak: at })).toEqual([at, at]);
	});

	test("may be split by protection, and goes on behind the split", () => {
		const split = withSegment(deadCore(), { start: heap + 4n * P, end: heap + 6n * P, prot: 1, bytes: filled(1, 2) });
		const core = withSegment(split, { start: heap + 6n * P, end: heap + 7n * P, prot: 3, bytes: filled(2) });
		expect(heapOf(core)).toEqual([heap, heap + 7n * P]);
	});

	test("that never was is empty, where the donor's began", () => {
		const core = deadCore();
		const none = { ...core, segments: (core.segments ?? []).filter(({ start }) => start !== heap) };
		const start = exe + donorPlaces.heap - donorPlaces.exe;
		expect(heapOf(none)).toEqual([start, start]);
	});

	test("follows .bss as one mapping where addresses are not randomised", () => {
		const core = deadCore();
		const bss = exe + 4n * P;
		const merged = changeSegment(
			{ ...core, segments: (core.segments ?? []).filter(({ start }) => start !== heap) },
			bss,
			(it) => ({ ...it, end: bss + 6n * P, bytes: filled(1, 6) }),
		);
		const donorBss = donorPlaces.exe + 4n * P;
		const donor = livingDonor();
		const vmas = donor.vmas
			.filter(({ start }) => start !== donorPlaces.heap)
			.map((vma) => (vma.start === donorBss ? { ...vma, end: donorBss + 5n * P } : vma));
		const bounds = donor.bounds.map((value, i) => (i === 5 ? donorBss + P : i === 6 ? donorBss + 5n * P : value));
		expect(heapOf(merged, { ...donor, vmas, bounds })).toEqual([bss + P, bss + 6n * P]);
	});

	test("of a static PIE lies far below it", () => {
		const below = 0x5554_0000_0000n;
		const core = deadCore();
		const segments = (core.segments ?? []).filter(({ start }) => start !== heap);
		const low = withSegment({ ...core, segments }, { start: below, end: below + 2n * P, prot: 3, bytes: filled(1, 2) });
		const donor = livingDonor();
		const start = donorPlaces.exe - (exe - below);
		const vmas = donor.vmas.filter((vma) => vma.start !== donorPlaces.heap);
		const bounds = donor.bounds.map((value, i) => (i === 5 ? start : i === 6 ? start + P : value));
		const moved = withVma({ ...donor, vmas, bounds }, { start, end: start + P, prot: 3, flags: 0x22, status: 0x221 });
		expect(heapOf(low, moved)).toEqual([below, below + 2n * P]);
		// the kernel draws that distance anew for every process
		const farBelow = { ...moved, bounds: bounds.map((value, i) => (i === 5 || i === 6 ? value - (8n << 30n) : value)) };
		const programBreak = address(below + P + 0x10n);
		expect(heapOf(low, farBelow, { programBreak })).toEqual([below, below + P + 0x10n]);
	});

	test("is not looked for behind the program's file where that is mapped once more, as node does", () => {
		const segment = { start: 0x7f10_0018_0000n, end: 0x7f10_0018_0000n + P, prot: 5 };
		const core = withSegment(deadCore(), segment, { path: EXE, offset: P });
		expect(heapOf(core)).toEqual([heap, heap + 4n * P]);
	});

	test("is nothing that lies further away than the kernel puts one", () => {
		const core = deadCore();
		const far = exe + (2n << 30n);
		const segments = (core.segments ?? []).filter(({ start }) => start !== heap);
		const moved = withSegment({ ...core, segments }, { start: far, end: far + P, prot: 3, bytes: filled(1) });
		const start = exe + donorPlaces.heap - donorPlaces.exe;
		expect(heapOf(moved)).toEqual([start, start]);
	});
});

describe("a second object of one name", () => {
	const memfd = (start: bigint, byte: number) => ({ start, end: start + P, prot: 3, bytes: filled(byte) });
	const two = (path: string, second = 2): BuiltCore =>
		withSegment(
			withSegment(deadCore(), memfd(0x7f10_0018_0000n, 1), { path, offset: 0n }),
			memfd(0x7f10_0019_0000n, second),
			{
				path,
				offset: 0n,
			},
		);
	const objectsOf = (core: BuiltCore, donor?: BuiltDonor) => {
		const { task, findings } = completed(core, donor);
		return { objects: task.memory.objects.length, told: findings.filter(({ code }) => code === "mapping-kind") };
	};

	test("is another object", () => {
		expect(objectsOf(two("/memfd:a (deleted)"))).toEqual({
			objects: 2,
			told: [
				{
					weight: "caution",
					code: "mapping-kind",
					subject: "mapping 0x7f1000190000",
					text: "may be the same /memfd:a as 0x7f1000180000; a core does not tell, they become two objects",
				},
			],
		});
	});

	test("is the same where both show the same bytes, and the donor knows no better", () => {
		expect(objectsOf(two("/memfd:a (deleted)", 1))).toEqual({
			objects: 1,
			told: [
				{
					...{ weight: "note", code: "mapping-kind", subject: "/memfd:a" },
					text: "its 2 mappings show the same bytes; they are taken for one object",
				},
			],
		});
	});

	test("is the same where the donor maps a single one of that name, and its bytes are taken once", () => {
		const donor = livingDonor();
		const at = 0x7f20_0018_0000n;
		const single = withVma(
			{
				...donor,
				files: [...donor.files, { id: 8, type: 18, body: memfdFile(8, 7) }],
				memfds: [{ inode: 7, shmid: 31, name: "a", size: 4096 }],
			},
			{ start: at, end: at + P, prot: 3, flags: 1, status: 0x4081, shmid: 8 },
		);
		const core = two("/memfd:a (deleted)");
		expect(objectsOf(core, single)).toEqual({ objects: 1, told: [] });
		const [object] = completed(core, single).task.memory.objects;
		expect(object).toMatchObject({ name: "a", size: P, contents: [{ start: 0n, length: P }] });
		expect(object?.contents).toHaveLength(1);
	});

	test("is never the same when it has no name: nobody could have mapped it twice", () => {
		expect(objectsOf(two("/dev/zero (deleted)"))).toEqual({ objects: 2, told: [] });
	});
});

describe("memfds that the donor has open", () => {
	const at = 0x7f20_0018_0000n;
	const donor = livingDonor();
	/** Descriptor 9 is of inode 7, descriptor 10 of inode 8; a mapping shows inode 7. */
	const opened: BuiltDonor = withVma(
		{
			...donor,
			files: [
				...donor.files,
				{ id: 8, type: 18, body: memfdFile(8, 7) },
				{ id: 9, type: 18, body: memfdFile(9, 8, 0o100000, 3) },
			],
			memfds: [
				{ inode: 7, shmid: 31, name: "a", size: 8192, seals: 2, mode: 0o100600, pages: [[0n, filled(9)]] },
				{ inode: 8, shmid: 32, name: "a", size: 4096, pages: [[0n, filled(8)]] },
			],
			descriptors: [
				{ fd: 9, id: 8, type: 18 },
				{ fd: 10, id: 9, type: 18 },
			],
		},
		{ start: at, end: at + P, prot: 3, flags: 1, status: 0x4081, shmid: 8 },
	);
	const own = 0x7f10_0018_0000n;
	const core = withSegment(
		deadCore(),
		{ start: own, end: own + P, prot: 3, bytes: filled(1) },
		{ path: "/memfd:a (deleted)", offset: 0n },
	);

	test("show the dead process's memory where both map it, with the donor's seals, mode and size", () => {
		const { task, findings } = completed(core, opened);
		expect(task.memory.mappings.find(({ start }) => start === own)?.backing).toMatchObject({ object: 1 });
		expect(task.files.descriptors.map(({ description }) => description)).toMatchObject([
			{ kind: "memfd", name: "a", object: 1 },
			{ kind: "memfd", name: "a", object: 2, position: 3n },
		]);
		expect(task.memory.objects).toMatchObject([
			{ id: 1, name: "a", seals: 2, mode: 0o100600, size: 8192n, contents: [{ source: { name: "core" } }] },
			{ id: 2, name: "a", seals: 1, size: 4096n, contents: [{ start: 0n, length: P }] },
		]);
		expect(findings).toContainEqual({
			weight: "caution",
			code: "files-from-donor",
			subject: "descriptor 10 (memfd a)",
			text: "the dead process had it not mapped: its bytes are the donor's",
		});
	});

	test("keep the donor's where the dead process had none", () => {
		const { task } = completed(deadCore(), opened);
		expect(task.memory.objects.map(({ id, size }) => [id, size])).toEqual([
			[1, 8192n],
			[2, 4096n],
		]);
		expect(task.files.descriptors.map(({ description }) => description)).toMatchObject([{ object: 1 }, { object: 2 }]);
	});
});
