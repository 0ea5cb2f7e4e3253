import { describe, expect, test } from "vitest";
import type { BuiltCore } from "../../support/builders/core-builder.ts";
import { asleepIn } from "../../support/builders/deduced-core.ts";
import { type BuiltDonor, memfdFile, pipeFile } from "../../support/builders/donor-builder.ts";
import {
	changeSegment,
	deadCore,
	deadPlaces,
	EXE,
	EXE_BUILD_ID,
	EXE_ID,
	filled,
	hostWith,
	LIBC_ID,
	livingDonor,
	P,
	patchPair,
	program,
	withSegment,
	withVma,
} from "../../support/builders/pair.ts";
import { present } from "../../support/present.ts";
import { regFilesOf } from "../../support/witness/witness.ts";

const FREE = 0x7f10_0018_0000n;
const DONOR_FREE = 0x7f20_0018_0000n;
const EXTRA = "/opt/extra.so";
const EXTRA_ID = "0123456789abcdef0123456789abcdef01234567";
const MEMFD = 18;

/** Mapped by the dead process after the donor was dumped. */
const withExtra = (bytes?: Buffer) =>
	withSegment(
		deadCore(),
		{ start: FREE, end: FREE + P, prot: 1, ...(bytes === undefined ? {} : { bytes }) },
		{ path: EXTRA, offset: 0n },
	);
const extraFile = program(EXTRA_ID, 0x30);

/** The pipe that stands in for descriptor 9. */
async function made(core: BuiltCore, donor: BuiltDonor): Promise<{ readonly id: number; readonly pipe: number }> {
	const { images } = await patchPair({ core, donor });
	const row = present(images.records("fdinfo-2.img").find((entry) => entry.number(4) === 9n));
	const entries = images.records("files.img").filter((entry) => entry.number(2) === row.number(1));
	expect(entries).toHaveLength(1);
	const pipe = present(entries[0]).message(18);
	expect(pipe.number(1)).toBe(row.number(1));
	return { id: Number(row.number(1)), pipe: Number(pipe.number(2)) };
}

describe("a file that the donor had not mapped", () => {
	test("gets an entry of its own, with what CRIU will check", async () => {
		const core = withExtra(extraFile.subarray(0, 4096));
		const { images, vma } = await patchPair({ core }, { host: hostWith({ [EXTRA]: extraFile }) });
		const id = Number(vma(FREE)?.shmid);
		expect(id).toBe(5);
		expect(regFilesOf(images).get(id)).toEqual({
			...{ id, name: EXTRA, flags: 0, size: BigInt(extraFile.length), mode: 0o100755, buildId: EXTRA_ID },
		});
		const entry = present(images.records("files.img").find((it) => it.number(2) === 5n)).message(3);
		expect([entry.number(3), entry.message(5).numbers(1), entry.message(5).numbers(5)]).toEqual([0n, [0n], [0n]]);
		expect(entry.has(7)).toBe(false);
	});

	test("gets one entry however often it is mapped, and none if only a descriptor of the donor has it", async () => {
		const core = withSegment(
			withExtra(),
			{ start: FREE + 4n * P, end: FREE + 5n * P, prot: 1 },
			{ path: EXTRA, offset: P },
		);
		const donor = livingDonor();
		const open = { id: 9, name: EXTRA, flags: 0o100000, mode: 0o100755, size: 1 };
		const withOpen: BuiltDonor = {
			...donor,
			files: [...donor.files, open],
			descriptors: [...(donor.descriptors ?? []), { fd: 4, id: 9, type: 1 }],
		};
		const { images, vma } = await patchPair({ core, donor: withOpen });
		expect([vma(FREE)?.shmid, vma(FREE + 4n * P)?.shmid]).toEqual([10n, 10n]);
		expect([...regFilesOf(images).keys()]).toEqual([1, EXE_ID, LIBC_ID, 4, 9, 10]);
	});

	test("is recorded without size and mode where this host has none or another", async () => {
		const core = withExtra(extraFile.subarray(0, 4096));
		const entryWith = async (files: Record<string, Buffer>) => {
			const { images, told } = await patchPair({ core }, { host: hostWith(files) });
			return { entry: regFilesOf(images).get(5), told };
		};
		const bare = { id: 5, name: EXTRA, flags: 0, buildId: EXTRA_ID };
		const absent = await entryWith({});
		expect(absent.entry).toEqual(bare);
		expect(absent.told).toContain(`caution ${EXTRA}: is not here; restore where it is`);
		const other = await entryWith({ [EXTRA]: program(EXE_BUILD_ID, 1) });
		expect(other.entry).toEqual(bare);
		expect(other.told).toContain(
			`caution ${EXTRA}: has build-id ${EXE_BUILD_ID}, expected ${EXTRA_ID}; restore where it is as it was`,
		);
	});

	test("without build-id is another when its size is", async () => {
		const donor = livingDonor();
		const table = { id: 8, name: "/opt/table", size: 4096, mode: 0o100755 };
		const vma = { start: DONOR_FREE, end: DONOR_FREE + P, prot: 1, flags: 2, status: 0x41, shmid: 8 };
		const core = withSegment(deadCore(), { start: FREE, end: FREE + P, prot: 1 }, { path: "/opt/table", offset: 0n });
		const { told } = await patchPair(
			{ core, donor: withVma({ ...donor, files: [...donor.files, table] }, vma) },
			{ host: hostWith({ "/opt/table": filled(1, 2) }) },
		);
		expect(told).toContain("caution /opt/table: has 8192 bytes, expected 4096; restore where it is as it was");
	});

	test("and whose bytes neither core nor host has is a loss", async () => {
		expect((await patchPair({ core: withExtra() })).told).toContain(
			`loss ${EXTRA}: is not here, expected it: 4096 of 4096 bytes mapped of it are not in the core; restore where it is`,
		);
	});

	test("and that it could write is taken for private, with a caution", async () => {
		const core = withSegment(deadCore(), { start: FREE, end: FREE + P, prot: 3 }, { path: EXTRA, offset: 0n });
		const { vma, told } = await patchPair({ core }, { host: hostWith({ [EXTRA]: extraFile }) });
		expect(vma(FREE)).toMatchObject({ status: 0x41, flags: 2, fdflags: 0, prot: 3 });
		expect(told).toContain(
			`caution mapping 0x7f1000180000: ${EXTRA}: shared or private is not in a core, and no donor tells; private is assumed`,
		);
	});
});

describe("a file that the donor mapped shared", () => {
	const shared = { start: DONOR_FREE, end: DONOR_FREE + P, prot: 3, flags: 1, status: 0x81, shmid: 5, fdflags: 2 };
	const donor = withVma(
		{ ...livingDonor(), files: [...livingDonor().files, { id: 5, name: "/data", size: 4096, mode: 0o100644 }] },
		shared,
	);

	test("stays shared and writable, and none of its pages is written though the core has them", async () => {
		const segment = { start: FREE, end: FREE + P, prot: 3, bytes: filled(3) };
		const core = withSegment(deadCore(), segment, { path: "/data", offset: 0n });
		const { vma, memory, told } = await patchPair({ core, donor }, { host: hostWith({ "/data": filled(4) }) });
		expect(vma(FREE)).toMatchObject({ status: 0x81, flags: 1, fdflags: 2, shmid: 5n });
		expect(memory.written.has(FREE)).toBe(false);
		expect(told).toContain("note mapping 0x7f1000180000: shared with /data: shows what the file holds now");
	});
});

describe("a file that was deleted", () => {
	test("becomes private memory when the core has all its bytes", async () => {
		const segment = { start: FREE, end: FREE + P, prot: 1, bytes: filled(6) };
		const core = withSegment(deadCore(), segment, { path: "/tmp/gone (deleted)", offset: 0n });
		const { vma, memory, told } = await patchPair({ core });
		expect(vma(FREE)).toMatchObject({ status: 0x201, flags: 0x22, shmid: 0n, prot: 1 });
		expect(memory.page(FREE)).toEqual(filled(6));
		expect(told).toContain(
			"note mapping 0x7f1000180000: /tmp/gone was deleted; all its bytes are in the core and become private memory",
		);
	});

	test("reads as zeros where it has not, which is a loss", async () => {
		const segment = { start: FREE, end: FREE + 3n * P, prot: 1, bytes: filled(6) };
		const core = withSegment(deadCore(), segment, { path: "/tmp/gone (deleted)", offset: 0n });
		expect((await patchPair({ core })).told).toContain(
			"loss mapping 0x7f1000180000: /tmp/gone was deleted and 8192 of 12288 bytes are not in the core; they read as zeros",
		);
	});

	test("the executable too may be gone: /proc/PID/exe is the donor's", async () => {
		const core = deadCore();
		const files = (core.files ?? []).map((row) => (row.path === EXE ? { ...row, path: `${EXE} (deleted)` } : row));
		const whole = changeSegment({ ...core, files }, deadPlaces.exe + P, (it) => ({ ...it, bytes: filled(0x10, 2) }));
		const { vma, mm, images } = await patchPair({ core: whole });
		expect(vma(deadPlaces.exe + P)).toMatchObject({ status: 0x201, prot: 5 });
		expect(regFilesOf(images).get(Number(mm.number(12)))?.name).toBe(EXE);
	});
});

describe("descriptors", () => {
	test("and what they need stay as they are, a pipe that nothing else names too", async () => {
		const donor = livingDonor();
		const files = [...donor.files, { id: 6, type: 2, body: pipeFile(6, 99, 1) }];
		const descriptors = [...(donor.descriptors ?? []), { fd: 4, id: 6, type: 2 }];
		const { images } = await patchPair({ donor: { ...donor, files, descriptors } });
		const entries = images.records("files.img").filter((entry) => entry.number(1) !== 1n);
		expect(entries.map((entry) => [entry.number(2), entry.message(18).number(2)])).toEqual([[6n, 99n]]);
		const table = images.records("fdinfo-2.img").map((entry) => [entry.number(4), entry.number(1), entry.number(3)]);
		expect(table).toEqual([
			[3n, 4n, 1n],
			[4n, 6n, 2n],
		]);
	});

	test("that a thread of the dead process sleeps on and the donor has not are made, and keep the donor's as they are", async () => {
		const core = asleepIn(deadCore(), 500, 0, 9n, deadPlaces.heap, 8n);
		const { images, told } = await patchPair({ core });
		const table = images.records("fdinfo-2.img").map((entry) => [entry.number(4), entry.number(3)]);
		// EVENTFD
		expect(table).toEqual([
			[3n, 1n],
			[9n, 6n],
		]);
		const [made] = images.records("files.img").filter((entry) => entry.number(1) === 6n);
		expect(made?.message(8).number(4)).toBe(0n);
		expect(told).toContain(
			"caution descriptor 9: an eventfd that has counted nothing, as eight bytes were read of it (thread 500 sleeps in read on it); a timer or a socket would have been another",
		);
	});

	test("that are made have ids that nothing of the images has, whatever these are", async () => {
		const core = asleepIn(deadCore(), 500, 0, 9n, deadPlaces.heap, 100n);
		const donor = livingDonor();
		const { id, pipe } = await made(core, donor);
		const others = [
			{ id, name: "/opt/mapped", mode: 0o100644 },
			{ id: 0xffff_ffff, type: 2, body: pipeFile(0xffff_ffff, pipe, 0) },
		];
		const another = await made(core, { ...donor, files: [...donor.files, ...others] });
		expect(donor.files.map((file) => file.id)).not.toContain(another.id);
		expect(another.id).not.toBe(id);
		expect(another.pipe).not.toBe(pipe);
	});

	test.each([
		["O_WRONLY", 0o100001, undefined],
		["O_RDWR", 0o100002, undefined],
		["O_RDONLY", 0o100000, 77n],
	])("a log open %s: its recorded size %#", async (_, flags, size) => {
		const donor = livingDonor();
		const files = donor.files.map((file) => (file.id === 4 ? { ...file, flags, size: 77 } : file));
		const { images } = await patchPair({ donor: { ...donor, files } });
		expect(regFilesOf(images).get(4)?.size).toBe(size);
	});

	test("a file open for reading that another descriptor writes to has no size either", async () => {
		const donor = livingDonor();
		const files = [...donor.files, { id: 6, name: "/var/log/prog", flags: 0o100000, size: 77, mode: 0o100644 }];
		const descriptors = [...(donor.descriptors ?? []), { fd: 4, id: 6, type: 1 }];
		const { images } = await patchPair({ donor: { ...donor, files, descriptors } });
		expect(regFilesOf(images).get(6)?.size).toBeUndefined();
		expect(regFilesOf(images).get(EXE_ID)?.size).toBe(16384n);
	});

	test("that write without O_APPEND go on at the donor's offset, which is said", async () => {
		const donor = livingDonor();
		const files = donor.files.map((file) => (file.id === 4 ? { ...file, flags: 0o100001 } : file));
		expect((await patchPair({ donor: { ...donor, files } })).told).toContain(
			"caution descriptor 3 (/var/log/prog): writes go on at the donor's offset 77",
		);
	});
});

describe("shared memory", () => {
	const zero = { path: "/dev/zero (deleted)", offset: 0n };
	const shared = (name: { path: string; offset: bigint }, at = FREE) =>
		withSegment(
			deadCore(),
			{ start: at, end: at + 2n * P, prot: 3, bytes: Buffer.concat([filled(5), filled(0)]) },
			name,
		);
	const memfd = { inode: 7, shmid: 31, name: "cache", size: 8192, pages: [[0n, filled(1)]] as const };
	const donorWith = (name: string, open = false): BuiltDonor => {
		const donor = livingDonor();
		return withVma(
			{
				...donor,
				files: [...donor.files, { id: 8, type: MEMFD, body: memfdFile(8, 7) }],
				memfds: [{ ...memfd, name }],
				descriptors: [...(donor.descriptors ?? []), ...(open ? [{ fd: 5, id: 8, type: MEMFD }] : [])],
			},
			{ start: DONOR_FREE, end: DONOR_FREE + 2n * P, prot: 3, flags: 1, status: 0x4081, shmid: 8, fdflags: 2 },
		);
	};

	test("without a name is written in the form that needs no memfd", async () => {
		const { vma, memory, images } = await patchPair({ core: shared(zero) });
		const it = present(vma(FREE));
		expect(it).toMatchObject({ status: 0x101, flags: 0x21, pgoff: 0n });
		expect(images.names).toContain(`pagemap-shmem-${it.shmid}.img`);
		expect([...images.pages(`pagemap-shmem-${it.shmid}.img`).keys()]).toEqual([0n]);
		expect([memory.page(FREE), memory.page(FREE + P)]).toEqual([filled(5), filled(0)]);
		expect(memory.written.has(FREE)).toBe(false);
		expect(images.names).not.toContain("memfd.img");
	});

	test("two areas are two objects, two parts of one that mprotect split are one", async () => {
		const split = withSegment(
			shared(zero),
			{ start: FREE + 2n * P, end: FREE + 3n * P, prot: 1, bytes: filled(6) },
			{ ...zero, offset: 2n * P },
		);
		const other = withSegment(split, { start: FREE + 9n * P, end: FREE + 10n * P, prot: 3, bytes: filled(7) }, zero);
		const { vma, memory } = await patchPair({ core: other });
		const ids = [FREE, FREE + 2n * P, FREE + 9n * P].map((at) => vma(at)?.shmid);
		expect(ids[0]).toBe(ids[1]);
		expect(ids[2]).not.toBe(ids[0]);
		expect(vma(FREE + 2n * P)).toMatchObject({ pgoff: 2n * P, prot: 1 });
		expect([memory.page(FREE + 2n * P), memory.page(FREE + 9n * P)]).toEqual([filled(6), filled(7)]);
	});

	test("of the donor goes with its file entry, its inode and its pages", async () => {
		const { images, vmas } = await patchPair({ core: shared(zero), donor: donorWith("/dev/zero") });
		expect(images.names).not.toContain("memfd.img");
		expect(images.names).not.toContain("pagemap-shmem-31.img");
		expect(images.names).not.toContain("pages-131.img");
		expect(images.records("files.img").filter((entry) => entry.number(1) === BigInt(MEMFD))).toEqual([]);
		expect(vmas.filter(({ status }) => (status & 0x4000) !== 0)).toEqual([]);
	});

	test("of the donor goes when the dead process had none", async () => {
		const { images } = await patchPair({ donor: donorWith("/dev/zero") });
		expect(images.names.filter((name) => /memfd|shmem/.test(name))).toEqual([]);
	});

	test("that a descriptor of the donor still holds stays whole", async () => {
		const { images } = await patchPair({ donor: donorWith("cache", true) });
		expect(images.names).toEqual(expect.arrayContaining(["memfd.img", "pagemap-shmem-31.img", "pages-131.img"]));
		expect(images.records("memfd.img").map((inode) => inode.text(1))).toEqual(["cache"]);
		expect(images.records("files.img").filter((entry) => entry.number(1) === BigInt(MEMFD))).toHaveLength(1);
		expect(images.pages("pagemap-shmem-31.img").get(0n)).toEqual(filled(1));
	});

	test("a memfd comes back under its name, with the dead one's bytes in the donor's inode", async () => {
		const core = shared({ path: "/memfd:cache (deleted)", offset: 0n });
		const { images, vma } = await patchPair({ core, donor: donorWith("cache", true) });
		expect(vma(FREE)).toMatchObject({ status: 0x4081, flags: 1, shmid: 8n, fdflags: 2 });
		const [inode, ...others] = images.records("memfd.img");
		expect(others).toEqual([]);
		expect([inode?.text(1), inode?.number(4), inode?.number(7)]).toEqual(["cache", 8192n, 7n]);
		const pages = images.pages(`pagemap-shmem-${inode?.number(5)}.img`);
		expect([...pages]).toEqual([[0n, filled(5)]]);
		expect(images.names.filter((name) => name.startsWith("pagemap-shmem-"))).toHaveLength(1);
	});

	test("a memfd is private where the donor's of that name is, whatever the others are", async () => {
		const core = withSegment(
			shared({ path: "/memfd:cache (deleted)", offset: 0n }),
			{ start: FREE + 8n * P, end: FREE + 9n * P, prot: 3, bytes: filled(5) },
			{ path: "/memfd:other (deleted)", offset: 0n },
		);
		const donor = donorWith("cache");
		const vmas = donor.vmas.map((vma) => (vma.shmid === 8 ? { ...vma, flags: 2, status: 0x4041 } : vma));
		const { vma } = await patchPair({ core, donor: { ...donor, vmas } });
		expect(vma(FREE)).toMatchObject({ flags: 2, status: 0x4041 });
		expect(vma(FREE + 8n * P)).toMatchObject({ flags: 1, status: 0x4081 });
	});

	test("a memfd that the donor has not is made, with entry, inode and pages", async () => {
		const core = shared({ path: "/memfd:cache (deleted)", offset: 0n });
		const { images, vma } = await patchPair({ core });
		const id = present(vma(FREE)).shmid;
		const entry = present(images.records("files.img").find((it) => it.number(2) === id));
		expect(entry.number(1)).toBe(BigInt(MEMFD));
		const [inode] = images.records("memfd.img");
		expect(entry.message(20).number(5)).toBe(inode?.number(7));
		expect(entry.message(20).number(1)).toBe(id);
		expect([inode?.text(1), inode?.number(4), inode?.number(6), inode?.number(9)]).toEqual([
			"cache",
			8192n,
			1n,
			0o100777n,
		]);
		expect([...images.pages(`pagemap-shmem-${inode?.number(5)}.img`)]).toEqual([[0n, filled(5)]]);
	});

	test("that the core lacks reads as zeros, which is a loss", async () => {
		const core = withSegment(deadCore(), { start: FREE, end: FREE + 2n * P, prot: 3 }, zero);
		const { told, vma, images } = await patchPair({ core });
		expect(told).toContain(
			"loss mapping 0x7f1000180000: shared memory is not in the core (coredump_filter bit 1); it reads as zeros",
		);
		// an existing pagemap without entries is fine here; a missing one is not
		expect(images.names).toContain(`pagemap-shmem-${vma(FREE)?.shmid}.img`);
	});

	test("of System V becomes shared memory of its own", async () => {
		const core = shared({ path: "/SYSV0000002a (deleted)", offset: 0n });
		const { told, vma } = await patchPair({ core });
		expect(vma(FREE)).toMatchObject({ status: 0x101, flags: 0x21 });
		expect(told).toContain(
			"caution mapping 0x7f1000180000: System V shared memory; comes back as shared memory of its own, not attached to a segment",
		);
	});
});

describe("what a core cannot bring back", () => {
	test.each(["/dev/mem", "/[aio] (deleted)", "anon_inode:[io_uring]"])(
		"%s is dropped, which is a loss",
		async (path) => {
			const core = withSegment(
				deadCore(),
				{ start: FREE, end: FREE + P, prot: 3, bytes: filled(1) },
				{ path, offset: 0n },
			);
			const { vma, memory, told } = await patchPair({ core });
			expect(vma(FREE)).toBeUndefined();
			expect(memory.written.has(FREE)).toBe(false);
			expect(told).toContain(
				`loss mapping 0x7f1000180000: ${path.replace(" (deleted)", "")}: kernel or device memory, which a core cannot bring back`,
			);
		},
	);

	test("private memory by way of /dev/zero is anonymous memory", async () => {
		const segment = { start: FREE, end: FREE + P, prot: 3, bytes: filled(1) };
		const { vma } = await patchPair({ core: withSegment(deadCore(), segment, { path: "/dev/zero", offset: 0n }) });
		expect(vma(FREE)).toMatchObject({ status: 0x201, flags: 0x22, shmid: 0n });
	});

	test("huge pages are asked for again, of the usual size", async () => {
		const start = 0x7f10_0060_0000n;
		const segment = { start, end: start + 0x20_0000n, prot: 3, bytes: filled(1, 512) };
		const core = withSegment(deadCore(), segment, { path: "/anon_hugepage (deleted)", offset: 0n });
		const { vma, told } = await patchPair({ core });
		expect(vma(start)).toMatchObject({ status: 0x201, flags: 0x22 | 0x40000 | (21 << 26) });
		expect(told).toContain("caution mapping 0x7f1000600000: huge pages of unknown size; 2 MiB pages are asked for");
	});
});
