import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { openImageDir } from "../../../../src/criu/image-dir.ts";
import type { Task } from "../../../../src/forest/task.ts";
import { processesOf, taskFromImages } from "../../../../src/images/read/from-images.ts";
import { type BuiltDonor, buildDonor, memfdFile, writeDonor } from "../../../support/builders/donor-builder.ts";
import { donorPlaces, EXE, EXE_BUILD_ID, filled, livingDonor, P, withVma } from "../../../support/builders/pair.ts";
import { present } from "../../../support/present.ts";
import { refusal } from "../../../support/refusal.ts";
import { scratch } from "../../../support/scratch.ts";

const { exe, heap, libc, tls, vdso, stackEnd } = donorPlaces;
const FREE = 0x7f20_0018_0000n;

/** Reads a donor as a task; the directory is closed and gone afterwards. */
function read(donor: BuiltDonor, look: (task: Task) => void = () => {}, pid?: number): void {
	const dir = openImageDir(writeDonor(join(scratch(), "d"), donor));
	try {
		look(taskFromImages(dir, pid));
	} finally {
		dir.close();
	}
}

/** What reading refuses with, the directory left out of the text. */
const refused = (donor: BuiltDonor): string => refusal(() => read(donor)).replace(/\S*\/d\//, "");

describe("a task from images", () => {
	test("has flags as they are, up to the highest bit", () => {
		const vma = { start: FREE, end: FREE + P, prot: 3, flags: 0x8804_0022, status: 0x201 };
		read(withVma(livingDonor(), vma), ({ memory }) =>
			expect(memory.mappings.find(({ start }) => start === FREE)?.flags).toBe(0x8804_0000),
		);
	});

	test("has its identity, limits and timers", () => {
		const donor = {
			...livingDonor(),
			pgid: 199,
			sid: 77,
			alarm: 3,
			posixTimers: [{ id: 4, value: 9n, thread: 200, seconds: 2 }],
		};
		read(donor, (task) => {
			expect(task.identity).toEqual({ pid: 200, ppid: 0, pgid: 199, sid: 77, comm: "prog" });
			expect(task.limits).toHaveLength(16);
			expect(task.limits[0]).toEqual({ soft: 1024n, hard: 2n ** 64n - 1n });
			expect(task.intervalTimers.real).toEqual({ remaining: 3_000_000n, interval: 0n });
			expect(task.posixTimers).toEqual([
				{
					id: 4,
					clock: 0,
					signal: 10,
					notify: 4,
					value: 9n,
					thread: 200,
					remaining: 2_000_000_000n,
					interval: 0n,
					overrun: 0,
				},
			]);
			expect([task.stopped, task.pending]).toEqual([false, []]);
		});
		const clocks = [2 ** 32 - 6, 2 ** 32 - 2, 7].map((clock, id) => ({ id, value: 0n, clock }));
		read({ ...livingDonor(), posixTimers: clocks }, ({ posixTimers }) =>
			// the clocks of processor time, as the kernel and CRIU write them: -6 of the process, -2 of a thread
			expect(posixTimers.map(({ clock }) => clock)).toEqual([-6, -2, 7]),
		);
		read({ ...livingDonor(), state: 3 }, ({ stopped }) => expect(stopped).toBe(true));
	});

	test("has its threads, with what is registered for them", () => {
		const donor = livingDonor({ tids: [200, 201] });
		const [leader, worker] = donor.threads;
		const threads = [
			{ ...present(leader), blocked: 1n, alternateStack: { base: heap, size: 0x2000n } },
			{ ...present(worker), blocked: 2n, nice: -3, rseq: 0n, robustList: 0n, clearTid: 0n },
		];
		read({ ...donor, threads }, (task) => {
			const [first, second] = task.threads;
			expect(first).toMatchObject({
				...{ tid: 200, name: "prog", blocked: 1n, clearTid: tls + 0x4d0n, robustList: tls + 0x4e0n },
				rseq: { area: tls + 0xb20n, size: 32, signature: 0x53053053 },
				alternateStack: { base: heap, size: 0x2000n, flags: 0 },
				scheduling: { nice: 0, policy: 0, priority: 0 },
			});
			expect(first?.credentials).toMatchObject({
				uid: 0,
				effective: 0x1ffffffffffn,
				bounding: 0x1ffffffffffn,
				groups: [],
			});
			expect(second).toMatchObject({ tid: 201, name: "worker 1", blocked: 2n, scheduling: { nice: -3 } });
			expect([second?.rseq, second?.robustList, second?.clearTid, second?.alternateStack]).toEqual(
				new Array(4).fill(undefined),
			);
		});
	});

	test("has its actions by signal", () => {
		read(livingDonor(), ({ signalActions }) => {
			expect(signalActions.map(({ signal }) => signal)).toEqual(
				Array.from({ length: 64 }, (_, i) => i + 1).filter((signal) => signal !== 9 && signal !== 19),
			);
			expect(signalActions.find(({ signal }) => signal === 2)).toEqual({
				...{ signal: 2, handler: exe + P + 0x40n, restorer: libc + P + 0x80n, flags: 0x4000004n, mask: 0x8000n },
			});
		});
	});

	test("has its mappings by what backs them", () => {
		const donor = livingDonor();
		const more: BuiltDonor = {
			...donor,
			files: [...donor.files, { id: 8, type: 18, body: memfdFile(8, 7) }],
			memfds: [{ inode: 7, shmid: 31, name: "cache", size: 8192, pages: [[P, filled(1)]] }],
		};
		const object = { start: FREE, end: FREE + 2n * P, prot: 3, flags: 1, status: 0x4081, shmid: 8, fdflags: 2 };
		const old = { start: FREE + 4n * P, end: FREE + 5n * P, prot: 3, flags: 0x21, status: 0x101, shmid: 99, pgoff: P };
		const sysv = { start: FREE + 8n * P, end: FREE + 9n * P, prot: 3, flags: 0x21, status: 0x501, shmid: 5 };
		const guard = { start: FREE + 9n * P, end: FREE + 10n * P, prot: 0, flags: 0, status: 0x10000 };
		read([object, old, sysv, guard].reduce(withVma, more), ({ memory }) => {
			const backing = (start: bigint) => memory.mappings.find((it) => it.start === start)?.backing;
			expect(backing(exe + P)).toEqual({ kind: "file", path: EXE, offset: P, writable: false });
			expect(backing(heap)).toEqual({ kind: "anonymous", role: "heap" });
			expect(backing(tls)).toEqual({ kind: "anonymous" });
			expect(backing(stackEnd - 5n * P)).toEqual({ kind: "anonymous", role: "stack" });
			expect([vdso - 6n * P, vdso, 0xffffffffff600000n].map(backing)).toEqual(
				["vvar", "vdso", "vsyscall"].map((kind) => ({ kind })),
			);
			expect(backing(FREE)).toEqual({ kind: "object", object: 1, offset: 0n });
			expect(backing(FREE + 4n * P)).toEqual({ kind: "object", object: 2, offset: P });
			expect(backing(FREE + 8n * P)).toEqual({ kind: "sysv", id: 5n, offset: 0n });
			expect(backing(FREE + 9n * P)).toEqual({ kind: "guard" });
			expect(memory.objects).toMatchObject([
				{ id: 1, name: "cache", size: 8192n, contents: [{ start: P, length: P, offset: 0n }] },
				{ id: 2, size: 2n * P, contents: [] },
			]);
			expect(memory.mappings.find(({ start }) => start === FREE)).toMatchObject({ shared: true, flags: 0 });
			expect(memory.mappings.find(({ start }) => start === stackEnd - 5n * P)).toMatchObject({
				shared: false,
				flags: 0x100,
			});
			expect(memory.contents).toMatchObject([{ start: stackEnd - 5n * P, length: P, offset: 0n }]);
			expect(memory.executable).toBe(EXE);
			expect(memory.files.get(EXE)).toEqual({ path: EXE, size: 16384n, mode: 0o100755, buildId: EXE_BUILD_ID });
		});
	});

	test("is chosen by pid where there are several", () => {
		const donor = { ...livingDonor(), others: [{ pid: 300, ppid: 200, threads: [300] }] };
		read(donor, ({ identity }) => expect(identity.pid).toBe(200), 200);
		expect(refused(donor)).toBe(
			"ERR_DONOR_AMBIGUOUS pstree.img: holds 2 processes (200, 300), expected one; choose one with --donor-pid",
		);
	});

	test("is one of those that the directory lists", () => {
		const dir = openImageDir(writeDonor(join(scratch(), "d"), livingDonor()));
		expect(processesOf(dir)).toEqual([{ pid: 200, comm: "prog" }]);
		dir.close();
	});
});

describe("images that contradict themselves", () => {
	const donor = livingDonor();
	const withoutFile = (id: number): BuiltDonor => ({ ...donor, files: donor.files.filter((file) => file.id !== id) });
	const vma = { start: FREE, end: FREE + P, prot: 3, flags: 1, status: 0x81, shmid: 8 };

	test.each<[string, BuiltDonor, string]>([
		[
			"a descriptor of no file",
			withoutFile(4),
			"ERR_IMAGE_CORRUPT fdinfo-2.img: descriptor 3 names file 4, which files.img does not hold",
		],
		[
			"a mapping of no file",
			withVma(donor, vma),
			"ERR_IMAGE_CORRUPT mm-200.img: mapping 0x7f2000180000 names file 8, which files.img does not hold",
		],
		[
			"a file mapping of a memfd",
			withVma({ ...donor, files: [...donor.files, { id: 8, type: 18, body: memfdFile(8, 7) }] }, vma),
			"ERR_IMAGE_CORRUPT mm-200.img: mapping 0x7f2000180000 names file 8, expected a regular file",
		],
		[
			"a memfd without its inode",
			withVma(
				{ ...donor, files: [...donor.files, { id: 8, type: 18, body: memfdFile(8, 7) }] },
				{ ...vma, status: 0x4081 },
			),
			"ERR_IMAGE_CORRUPT mm-200.img: mapping 0x7f2000180000 names memfd 8, which memfd.img does not hold",
		],
		[
			"an executable that is no file",
			{ ...donor, exe: 9 },
			"ERR_IMAGE_CORRUPT mm-200.img: the executable is file 9, which files.img does not hold as a regular file",
		],
		[
			"a mapping that is no range of pages",
			withVma(donor, { ...vma, status: 0x201, shmid: 0, end: FREE + 5n }),
			"ERR_IMAGE_CORRUPT mm-200.img: mapping 0x7f2000180000-0x7f2000180005 is no range of pages, expected start below end, both aligned",
		],
		[
			"pages that are not there",
			{ ...donor, extra: { "pages-1.img": Buffer.alloc(100) } },
			"ERR_IMAGE_TRUNCATED pages-1.img: has 100 bytes, but pagemap-200.img places 0x7ffdffffb000 at 0x0 with 4096; copy the directory again",
		],
	])("%s", (_, broken, text) => {
		expect(refused(broken)).toBe(text);
	});

	test("a leader without its task part", () => {
		const pair = livingDonor({ tids: [200, 201] });
		const extra = { "core-200.img": present(buildDonor(pair).get("core-201.img")) };
		expect(refused({ ...pair, extra })).toBe(
			"ERR_IMAGE_CORRUPT core-200.img: has no task_core_entry, expected a living process; dump the donor while it runs",
		);
	});
});
