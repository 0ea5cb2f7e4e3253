import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { address, fileOffset } from "../../../../src/bytes/address.ts";
import { place } from "../../../../src/bytes/extent.ts";
import { openImageDir } from "../../../../src/criu/image-dir.ts";
import { loss, note } from "../../../../src/finding.ts";
import type { Mapping, Task } from "../../../../src/forest/task.ts";
import { taskFromImages } from "../../../../src/images/read/from-images.ts";
import { type ImageOptions, imagesFromTask } from "../../../../src/images/write/to-images.ts";
import { lettered, map, PID, smallTask, smallThread } from "../../../support/builders/small-task.ts";
import { writeImagesOf } from "../../../support/builders/written-images.ts";
import { present } from "../../../support/present.ts";
import { refusal, refusalOf } from "../../../support/refusal.ts";
import { scratch } from "../../../support/scratch.ts";
import { type ReadImages, readImages } from "../../../support/witness/image-reader.ts";
import { type Vma, vmasOf } from "../../../support/witness/witness.ts";

interface Anew {
	readonly told: readonly string[];
	readonly images: ReadImages;
	readonly again: Task;
	readonly vmas: readonly Vma[];
}

async function anew(task: Task, options: Partial<ImageOptions> = {}): Promise<Anew> {
	const out = join(scratch(), "images");
	const told = await writeImagesOf(task, out, options);
	const images = readImages(out);
	const dir = openImageDir(out);
	const again = taskFromImages(dir);
	dir.close();
	return { told, images, again, vmas: vmasOf(present(images.records(`mm-${PID}.img`)[0])) };
}

const record = (images: ReadImages, name: string) => present(images.records(name)[0]);

describe("around the process", () => {
	test("the smallest one takes nine images, tells nothing, and has what CRIU asks for", async () => {
		const { told, images } = await anew(smallTask());
		expect(told).toEqual([]);
		expect(images.names).toEqual(
			[
				...["core-500.img", "fdinfo-2.img", "files.img", "fs-500.img", "ids-500.img", "inventory.img", "mm-500.img"],
				...["pagemap-500.img", "pages-1.img", "pstree.img"],
			].sort(),
		);
		const inventory = record(images, "inventory.img");
		expect([inventory.number(1), inventory.number(2), inventory.number(4)]).toEqual([2n, 1n, 1n]);
		expect(inventory.message(12).fields).toEqual([]);
		const [own, dumpers] = [record(images, "ids-500.img"), inventory.message(3)];
		for (const kernelObject of [1, 2, 3, 4]) expect(own.number(kernelObject)).not.toBe(dumpers.number(kernelObject));
		for (const namespace of [5, 6, 7, 8, 9, 10, 11, 12]) expect(own.number(namespace)).toBe(dumpers.number(namespace));
		expect(record(images, "core-500.img").message(3).messages(15)).toHaveLength(62);
	});

	test("it is the root of its tree, whatever its parent was", async () => {
		const { images, again } = await anew(smallTask());
		expect(record(images, "pstree.img").number(2)).toBe(0n);
		expect(again.identity.ppid).toBe(0);
	});

	test("what was lost at the dump, and what images cannot hold, is in them for whoever uses them", async () => {
		const seccomp = smallTask({ threads: [smallThread({ seccomp: "filter" })] });
		const lost = [loss("descriptor-dropped", "descriptor 7", "was a socket; it is closed"), note("lazy", "x", "y")];
		expect((await anew(seccomp, { lost: new Map([[PID, lost]]) })).again.losses).toEqual([
			{ subject: "descriptor 7", text: "was a socket; it is closed" },
			{ subject: "thread 500", text: "its seccomp filters; that it had some stops a restore" },
		]);
		expect((await anew(seccomp)).again.losses).toBeUndefined();
	});

	test("a member of another's session is told", async () => {
		const identity = { pid: PID, ppid: 1, pgid: 400, sid: 300, comm: "small" };
		expect((await anew(smallTask({ identity }))).told).toEqual([
			"caution session 300: the process is no session leader; restore it with --shell-job, from a shell",
		]);
	});

	test("clocks become a time namespace, and without them there is none", async () => {
		const clocks = { monotonic: 5_000_000_007n, boottime: 6_000_000_000n, witness: "read" } as const;
		const { images, again } = await anew(smallTask({ clocks }));
		const [monotonic, boottime] = [1, 2].map((field) => record(images, "timens-0.img").message(field));
		expect([monotonic?.number(1), monotonic?.number(2), boottime?.number(1), boottime?.number(2)]).toEqual([
			5n,
			7n,
			6n,
			0n,
		]);
		expect(again.clocks).toEqual(clocks);
		expect((await anew(smallTask())).images.names).not.toContain("timens-0.img");
	});

	test("whose clocks they were goes with them, and one that is not known is taken to be as far as the other", async () => {
		const origin = { boot: "6845df30-e2fd-494f-90fb-c287b86f7b72", offsets: { monotonic: -5n, boottime: 7n } };
		const clocks = { monotonic: 5n, realtime: 1_700_000_000_000_000_001n, witness: "read", origin } as const;
		const { again } = await anew(smallTask({ clocks }));
		expect(again.clocks).toEqual({ ...clocks, boottime: 5n });
	});

	test("a clock that no kernel has is refused", async () => {
		const anything = { monotonic: 4_611_686_018_000_000_001n, witness: "read" } as const;
		await expect(anew(smallTask({ clocks: anything }))).rejects.toThrow(
			/timens-0\.img: monotonic is 4611686018 s and 1 ns, expected at most 4611686018 s, and less than a second beside$/,
		);
	});

	test("an unknown working directory is /, and told", async () => {
		const { cwd: _, ...files } = smallTask().files;
		const { told, again } = await anew({ ...smallTask(), files });
		expect(told).toEqual(["caution working directory: is not known; it will be /"]);
		expect(again.files.cwd).toBe("/");
	});
});

describe("threads", () => {
	test("seccomp filters are a loss, and the mode stays so that nobody runs without them", async () => {
		const { told, again } = await anew(smallTask({ threads: [smallThread({ seccomp: "filter" })] }));
		expect(told).toEqual(["loss thread 500: its seccomp filters; that it had some stops a restore"]);
		expect(again.threads[0]?.seccomp).toBe("filter");
	});

	test("registers that images have no field for are reset, and told", async () => {
		const { xstate } = smallThread();
		const tiles = { ...xstate, xcr0: 0x6_0007n, xstateBv: 0x6_0003n };
		const { told, again } = await anew(smallTask({ threads: [smallThread({ xstate: tiles })] }));
		expect(told).toEqual([
			"loss thread 500: used XTILECFG, XTILEDATA, which images cannot hold; those registers are reset",
		]);
		expect(again.threads[0]?.xstate.xstateBv).toBe(3n);
	});

	test("other than the leader have no task part, and their mask in their own", async () => {
		const threads = [smallThread(), smallThread({ tid: 501, name: "other", blocked: 4n })];
		const { images } = await anew(smallTask({ threads }));
		expect(record(images, "pstree.img").numbers(5)).toEqual([500n, 501n]);
		const other = record(images, "core-501.img");
		expect([other.has(3), other.message(5).number(6), other.message(5).text(13)]).toEqual([false, 4n, "other"]);
	});

	test("say their scheduling even where it is usual: CRIU would keep its own", async () => {
		const attributes = record((await anew(smallTask())).images, "core-500.img").message(5);
		expect([3, 4, 5, 8, 11].map((field) => attributes.number(field))).toEqual([0n, 0n, 0n, 0n, 0n]);
	});
});

describe("mappings", () => {
	const one = (mapping: Mapping, ...others: Mapping[]) =>
		anew(smallTask({ memory: { mappings: [...smallTask().memory.mappings, mapping, ...others] } }));
	const at = 0x20_0000n;

	test.each([
		[
			"droppable memory is neither private nor shared",
			map(at, 1, { kind: "anonymous" }, { flags: 0x4008 }),
			0x4028,
			0x201,
		],
		["a ring of asynchronous I/O is nothing else", map(at, 2, { kind: "aio" }, { shared: true }), 0x1, 0x2000],
		["System V memory", map(at, 1, { kind: "sysv", id: 7n, offset: fileOffset(0) }, { shared: true }), 0x21, 0x501],
		["vvar", map(at, 4, { kind: "vvar" }), 0x22, 0x1201],
		["vdso", map(at, 2, { kind: "vdso" }), 0x22, 0x209],
		["vsyscall", map(at, 1, { kind: "vsyscall" }), 0x22, 0x204],
		["a stack that grows", map(at, 1, { kind: "anonymous" }, { flags: 0x100 }), 0x122, 0x201],
		["the heap", map(at, 1, { kind: "anonymous", role: "heap" }), 0x22, 0x221],
	])("%s", async (_, mapping, flags, status) => {
		const { vmas } = await one(mapping);
		expect(vmas[1]).toMatchObject({ start: at, flags, status });
	});

	test("a ring of 8192 bytes was asked for with 126 requests", async () => {
		const { images } = await one(map(at, 2, { kind: "aio" }, { shared: true }));
		const [ring] = record(images, "mm-500.img").messages(16);
		expect([1, 2, 3].map((field) => ring?.number(field))).toEqual([at, 126n, 8192n]);
	});

	test("the parts of vvar are one", async () => {
		const { vmas } = await one(map(at, 4, { kind: "vvar" }), map(at + 0x4000n, 2, { kind: "vvar" }));
		expect(vmas.slice(1)).toMatchObject([{ start: at, end: at + 0x6000n }]);
	});

	test("guards come behind all others", async () => {
		const { vmas } = await one(map(at, 1, { kind: "guard" }, { prot: 0 }), map(at + 0x2000n, 1, { kind: "anonymous" }));
		expect(vmas.map(({ start, status }) => [start, status])).toEqual([
			[0x10_0000n, 0x201],
			[at + 0x2000n, 0x201],
			[at, 0x10000],
		]);
	});

	test("the ring of a packet socket is dropped, and told", async () => {
		const { told, vmas } = await one(map(at, 1, { kind: "socket" }, { shared: true }));
		expect(told).toEqual(["loss mapping 0x200000: was the ring of a packet socket"]);
		expect(vmas).toHaveLength(1);
	});

	test("System V memory is told", async () => {
		const { told } = await one(map(at, 1, { kind: "sysv", id: 7n, offset: fileOffset(0) }, { shared: true }));
		expect(told).toEqual(["caution mapping 0x200000: System V memory; its bytes stay in the kernel"]);
	});

	test("an executable that is gone for good is told", async () => {
		expect((await anew(smallTask({ memory: { executable: "" } }))).told).toEqual([
			"loss executable: is gone, and CRIU restores no process without one",
		]);
	});

	test("an auxiliary vector longer than CRIU reads is cut, and told", async () => {
		const auxv = [...Array.from({ length: 22 }, (_, i) => ({ type: 100 + i, value: 1n })), { type: 3, value: 2n }];
		const { told, again } = await anew(smallTask({ memory: { auxv } }));
		expect(told).toEqual(["caution auxiliary vector: AT_121 left out of /proc/PID/auxv"]);
		expect(again.memory.auxv).toHaveLength(22);
	});

	test("an object that is not there is a mistake of the caller", () => {
		const mappings = [map(at, 1, { kind: "object", object: 9, offset: fileOffset(0) }, { shared: true })];
		expect(() => imagesFromTask(smallTask({ memory: { mappings, contents: [] } }), { pages: true })).toThrow(
			new RangeError("no shared object 9"),
		);
	});
});

describe("shared memory", () => {
	const at = 0x20_0000n;
	const shown = (more: Partial<Mapping> = {}, start = at): Mapping =>
		map(start, 1, { kind: "object", object: 4, offset: fileOffset(0) }, { shared: true, ...more });
	const object = { id: 4, size: 8192n, contents: [place(fileOffset(0), lettered(0n, "a"))] };

	test("without a name is the memfd that CRIU makes of it", async () => {
		const { images, vmas } = await anew(
			smallTask({ memory: { mappings: [map(0x10_0000n, 1, { kind: "anonymous" }), shown()], objects: [object] } }),
		);
		const inode = record(images, "memfd.img");
		expect(inode.text(1)).toBe("/dev/zero");
		expect([2, 3, 4, 6, 9].map((field) => inode.number(field))).toEqual([1003n, 103n, 8192n, 1n, 0o100777n]);
		expect(inode.has(8)).toBe(false);
		expect(
			images
				.pages(`pagemap-shmem-${inode.number(5)}.img`)
				.get(0n)
				?.toString("latin1"),
		).toBe("a".repeat(4096));
		const [, vma] = vmas;
		const file = images.records("files.img").find((entry) => entry.number(2) === vma?.shmid);
		expect([vma?.status, file?.number(1), file?.message(20).number(5)]).toEqual([0x4081, 18n, inode.number(7)]);
	});

	test("in huge pages says how large they are", async () => {
		const mapping = shown({ flags: 0x4_0000 | (21 << 26) });
		const { images } = await anew(
			smallTask({ memory: { mappings: [map(0x10_0000n, 1, { kind: "anonymous" }), mapping], objects: [object] } }),
		);
		expect(record(images, "memfd.img").number(8)).toBe(BigInt(4 | (21 << 26)));
	});

	test("in pages of 1 GiB too, whose size takes the highest bits", async () => {
		const named = { ...object, name: "m", memfdFlags: (4 | (34 << 26)) >>> 0 };
		const { images } = await anew(
			smallTask({ memory: { mappings: [map(0x10_0000n, 1, { kind: "anonymous" }), shown()], objects: [named] } }),
		);
		expect(record(images, "memfd.img").number(8)).toBe(0x8800_0004n);
	});

	test.each([
		["sealed against writing, shared", { seals: 8 }, {}, 0],
		["sealed against writing, private", { seals: 8 }, { shared: false }, 2],
		["sealed against growing only", { seals: 4 }, {}, 2],
		["without seals", {}, {}, 2],
	])("%s, is mapped by a descriptor that keeps the seal possible", async (_, looks, how, fdflags) => {
		const named = { ...object, name: "m", ...looks };
		const { vmas } = await anew(
			smallTask({ memory: { mappings: [map(0x10_0000n, 1, { kind: "anonymous" }), shown(how)], objects: [named] } }),
		);
		expect(vmas[1]?.fdflags).toBe(fdflags);
	});

	test("of which no flags are known could be sealed by nobody", async () => {
		const mappings = [map(0x10_0000n, 1, { kind: "anonymous" as const }), shown()];
		const seals = async (memfdFlags?: number) => {
			const named = { ...object, name: "m", ...(memfdFlags === undefined ? {} : { memfdFlags }) };
			return record((await anew(smallTask({ memory: { mappings, objects: [named] } }))).images, "memfd.img").number(6);
		};
		expect([await seals(), await seals(2)]).toEqual([1n, 0n]);
	});
});

describe("pages", () => {
	test("runs over several mappings come apart, each by what it shows without them", async () => {
		const at = 0x20_0000n;
		const mappings = [
			map(at, 1, { kind: "anonymous" }),
			map(at + 0x1000n, 1, { kind: "file", path: "/f", offset: fileOffset(0), writable: false }),
			map(at + 0x2000n, 1, { kind: "vvar" }),
			map(at + 0x3000n, 1, { kind: "vdso" }),
			map(at + 0x4000n, 1, { kind: "anonymous" }, { flags: 0x8 }),
			map(at + 0x5000n, 1, { kind: "anonymous" }),
		];
		const { images } = await anew(smallTask({ memory: { mappings, contents: [lettered(at, "____ay")] } }));
		// zeros hide what a file has, and vdso has nothing below it; vvar and droppable memory keep nothing
		expect([...images.pages("pagemap-500.img").keys()].map((page) => page - at)).toEqual([0x1000n, 0x3000n, 0x5000n]);
	});

	test("outside private memory are refused", () => {
		const task = smallTask({ memory: { contents: [lettered(0x30_0000n, "x")] } });
		expect(refusal(() => imagesFromTask(task, { pages: true }))).toBe(
			"ERR_TASK_UNRUNNABLE bytes: holds bytes of 0x300000, expected an address in private memory",
		);
	});

	test("must be there for a process to be restored", async () => {
		const { draft } = imagesFromTask(smallTask({ memory: { contents: [] } }), { pages: true });
		expect(draft.pages.map(({ runs }) => runs)).toEqual([[]]);
		expect(await refusalOf(writeImagesOf(smallTask({ memory: { contents: [] } }), join(scratch(), "images")))).toMatch(
			/^ERR_CORE_CORRUPT pagemap-500\.img: /,
		);
	});

	test("come from a process that is read while they are written, a few at a time", async () => {
		const reads: number[] = [];
		const endless = {
			...{ name: "/proc/500/mem", size: 1n << 63n, close: () => {} },
			read: (_: bigint, length: number) => {
				reads.push(length);
				return Buffer.alloc(length, 1);
			},
		};
		const start = address(0x1000_0000n);
		const length = 64n << 20n;
		const contents = [{ start, length, source: endless, offset: fileOffset(start), available: length }];
		const mappings = [map(start, Number(length / 4096n), { kind: "anonymous" })];
		const { images } = await anew(smallTask({ memory: { mappings, contents } }));
		expect(images.raw("pages-1.img")).toHaveLength(Number(length));
		expect(Math.max(...reads)).toBeLessThanOrEqual(2 << 20);
	});
});
