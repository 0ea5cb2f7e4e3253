import { describe, expect, test } from "vitest";
import type { BuiltCore } from "../../support/builders/core-builder.ts";
import { image } from "../../support/builders/donor-builder.ts";
import {
	changeSegment,
	deadCore,
	deadPlaces,
	donorPlaces,
	EXE,
	EXE_ID,
	filled,
	hostWith,
	LIBC,
	LIBC_ID,
	livingDonor,
	P,
	type Pair,
	type PatchedPair,
	patchPair,
	program,
	stackOf,
	withSegment,
	withVma,
} from "../../support/builders/pair.ts";
import { bareHost } from "../../support/builders/patching.ts";
import { present } from "../../support/present.ts";
import { number } from "../../support/witness/wire.ts";

const { exe, heap, libc, vdso, stackEnd } = deadPlaces;
const REGULAR = 1;
const PRIVATE = 0x240;
/** Between the leader's control block and libc, where nothing is. */
const FREE = 0x7f10_0018_0000n;
const DONOR_FREE = 0x7f20_0018_0000n;

/** What CRIU demands of every set of mappings and pages; without a word it restores garbage, or not at all. */
function sound({ memory, images, mm }: PatchedPair, pid = 500): void {
	let end = 0n;
	for (const vma of memory.vmas) {
		expect(vma.start >= end && vma.start < vma.end, `0x${vma.start.toString(16)} in order`).toBe(true);
		expect([vma.start % P, vma.end % P, vma.pgoff % P]).toEqual([0n, 0n, 0n]);
		end = vma.end;
	}
	for (const at of memory.written) {
		const vma = present(memory.vmas.find(({ start, end }) => start <= at && at < end));
		expect(vma.status & REGULAR, `0x${at.toString(16)}`).toBe(REGULAR);
		expect(vma.status & PRIVATE).not.toBe(0);
		expect(vma.status & 0x1000).toBe(0);
	}
	const [, ...entries] = images.records(`pagemap-${pid}.img`);
	expect(entries.length).toBeGreaterThan(0);
	for (const entry of entries) expect([entry.number(4), entry.number(2)]).toEqual([4n, entry.number(5)]);
	for (let field = 1; field <= 11; field++) expect(mm.number(field)).toBeGreaterThan(0xffffn);
	expect(mm.number(1)).toBeLessThan(mm.number(2));
	for (const [low, high] of [
		[3, 4],
		[6, 7],
		[8, 9],
		[10, 11],
	] as const)
		expect(mm.number(low)).toBeLessThanOrEqual(mm.number(high));
}

const patched = async (pair: Partial<Pair>, options?: Parameters<typeof patchPair>[1]): Promise<PatchedPair> => {
	const result = await patchPair(pair, options);
	sound(result, pair.core?.process?.pid ?? 500);
	return result;
};

const without = (core: BuiltCore, ...starts: bigint[]): BuiltCore => ({
	...core,
	segments: (core.segments ?? []).filter(({ start }) => !starts.includes(start)),
});

describe("the list of mappings", () => {
	test("is sorted though the core's segments are not, and every page keeps its place", async () => {
		const core = deadCore();
		const shuffled = { ...core, segments: [...(core.segments ?? [])].reverse() };
		const [one, other] = [await patched({ core }), await patched({ core: shuffled })];
		expect(other.vmas).toEqual(one.vmas);
		for (const at of one.memory.written) expect(other.memory.page(at)).toEqual(one.memory.page(at));
	});

	test("names a file for every file mapping, read-only for private ones", async () => {
		const { vmas } = await patched({});
		const files = vmas.filter(({ status }) => (status & 0x40) !== 0);
		expect(files.map(({ shmid, fdflags, flags }) => [shmid, fdflags, flags])).toEqual(
			[EXE_ID, EXE_ID, EXE_ID, LIBC_ID, LIBC_ID, LIBC_ID].map((id) => [BigInt(id), 0, 2]),
		);
		expect(files.map(({ pgoff }) => pgoff)).toEqual([0n, P, 3n * P, 0n, P, 3n * P]);
	});

	test("leaves the donor's guard regions behind: they would erase pages", async () => {
		const donor = livingDonor();
		const guard = { start: donorPlaces.tls, end: donorPlaces.tls + P, prot: 0, flags: 0, status: 0x10000 };
		const { vmas } = await patched({ donor: { ...donor, vmas: [...donor.vmas, guard] } });
		expect(vmas.filter(({ status }) => (status & 0x10000) !== 0)).toEqual([]);
	});

	test("lets the stack alone grow, not the threads' stacks", async () => {
		const tids = [500, 501];
		const { vmas } = await patched({ core: deadCore({ tids }), donor: livingDonor({ tids: [200, 201] }) });
		expect(vmas.filter(({ flags }) => (flags & 0x100) !== 0).map(({ end }) => end)).toEqual([stackEnd]);
	});

	test("lets another mapping grow where the donor's in its place does", async () => {
		const core = withSegment(deadCore(), { start: FREE, end: FREE + 8n * P, prot: 3, bytes: filled(7, 8) });
		const growing = { start: DONOR_FREE, end: DONOR_FREE + 2n * P, prot: 3, flags: 0x122, status: 0x201 };
		const { vma } = await patched({ core, donor: withVma(livingDonor(), growing) });
		expect(vma(FREE)).toMatchObject({ flags: 0x122, status: 0x201 });
	});

	test("gives a mapping the advice and flags of the donor's in its place, and no other", async () => {
		const dead = withSegment(
			withSegment(deadCore(), { start: FREE, end: FREE + 2n * P, prot: 3, bytes: filled(7, 2) }),
			{ start: FREE + 16n * P, end: FREE + 19n * P, prot: 3, bytes: filled(8, 3) },
		);
		const counterpart = {
			start: DONOR_FREE,
			end: DONOR_FREE + 2n * P,
			prot: 3,
			flags: 0x2022,
			status: 0x201,
			madv: 0x4000n,
		};
		const { vma } = await patched({ core: dead, donor: withVma(livingDonor(), counterpart) });
		expect(vma(FREE)).toMatchObject({ flags: 0x2022, madv: 0x4000n });
		expect(vma(FREE + 16n * P)).toMatchObject({ flags: 0x22 });
		expect(vma(FREE + 16n * P)?.madv).toBeUndefined();
	});

	test("finds the donor's mapping from the far end too, when there are more of them now", async () => {
		const core = withSegment(deadCore(), {
			start: deadPlaces.tls - 8n * P,
			end: deadPlaces.tls - 5n * P,
			prot: 3,
			bytes: filled(1, 3),
		});
		const donor = livingDonor();
		const vmas = donor.vmas.map((vma) => (vma.start === donorPlaces.tls ? { ...vma, flags: 0x4022 } : vma));
		expect((await patched({ core, donor: { ...donor, vmas } })).vma(deadPlaces.tls)?.flags).toBe(0x4022);
	});

	test("gives a thread's stack what the donor's threads' had, with or without a counterpart", async () => {
		const donor = livingDonor({ tids: [200, 201] });
		const { start } = stackOf(donorPlaces, 1);
		const vmas = donor.vmas.map((vma) => (vma.start === start ? { ...vma, madv: 0x8000n, flags: 0x4022 } : vma));
		const tids = [500, 501, 502, 503];
		const { vma } = await patched({ core: deadCore({ tids }), donor: { ...donor, vmas } });
		for (const n of [1, 2, 3])
			expect(vma(stackOf(deadPlaces, n).start)).toMatchObject({ madv: 0x8000n, flags: 0x4022 });
	});

	test("gives file mappings the donor's flags for the same bytes, unless the file is gone", async () => {
		const donor = livingDonor();
		const text = donorPlaces.libc + P;
		const vmas = donor.vmas.map((vma) => (vma.start === text ? { ...vma, flags: 0x2002, madv: 0x4000n } : vma));
		const locked = await patched({ donor: { ...donor, vmas } });
		expect(locked.vma(libc + P)).toMatchObject({ flags: 0x2002, madv: 0x4000n, status: 0x41 });
		const core = changeSegment(deadCore(), libc + P, (it) => ({ ...it, bytes: filled(0x20, 2) }));
		const files = (core.files ?? []).map((row) =>
			row.start === libc + P ? { ...row, path: `${LIBC} (deleted)` } : row,
		);
		const gone = await patched({ core: { ...core, files }, donor: { ...donor, vmas } });
		expect(gone.vma(libc + P)).toMatchObject({ status: 0x201 });
		expect(gone.vma(libc + P)?.madv).toBeUndefined();
	});

	test("lets the stack grow though the donor's image forgot to", async () => {
		const donor = livingDonor();
		const vmas = donor.vmas.map((vma) => (vma.flags === 0x122 ? { ...vma, flags: 0x22 } : vma));
		expect((await patched({ donor: { ...donor, vmas } })).vma(stackEnd - 5n * P)?.flags).toBe(0x122);
	});

	test("has none of the donor's rings of asynchronous I/O", async () => {
		const ring = { start: DONOR_FREE, end: DONOR_FREE + P, prot: 3, flags: 1, status: 0x2000 };
		const { mm, vmas } = await patched({ donor: { ...withVma(livingDonor(), ring), aio: DONOR_FREE } });
		expect(mm.has(16)).toBe(false);
		expect(vmas.filter(({ status }) => (status & 0x2000) !== 0)).toEqual([]);
	});

	test("has a large writable reservation that need not be backed at once", async () => {
		const GIB = 1n << 30n;
		const reservation = { start: 0x7f00_0000_0000n, end: 0x7f00_0000_0000n + 64n * GIB };
		const held = withSegment(deadCore(), { ...reservation, prot: 3, bytes: filled(1) });
		expect((await patched({ core: held })).vma(reservation.start)).toMatchObject({ flags: 0x4022, prot: 3 });
		const empty = withSegment(deadCore(), { ...reservation, prot: 3 });
		expect((await patched({ core: empty })).vma(reservation.start)).toMatchObject({ flags: 0x4022, prot: 3 });
	});

	test("has 64 GiB of PROT_NONE as they are, and no page of them", async () => {
		const reservation = { start: 0x7f00_0000_0000n, end: 0x7f10_0000_0000n, prot: 0 };
		const { vma, memory } = await patched({ core: withSegment(deadCore(), reservation) });
		expect(vma(reservation.start)).toMatchObject({ flags: 0x22, prot: 0, end: reservation.end });
		expect([...memory.written].filter((at) => at < reservation.end && at >= reservation.start)).toEqual([]);
	});
});

describe("the kernel's own mappings", () => {
	test("are where the dead process had them, not where the donor has", async () => {
		const { vma, vmas, memory } = await patched({});
		expect(vma(vdso)).toMatchObject({ end: vdso + 2n * P, status: 0x209, flags: 0x22, prot: 5 });
		expect(vma(vdso - 6n * P)).toMatchObject({ end: vdso, status: 0x1201, prot: 1, madv: 1n << 16n });
		expect(vmas.filter(({ status }) => (status & 0x1008) !== 0)).toHaveLength(2);
		expect([vdso, vdso + P].map((at) => memory.written.has(at))).toEqual([true, true]);
	});

	test("carry no pages of vvar or vsyscall, though the core has bytes for them", async () => {
		const { memory, vmas } = await patched({});
		expect([...memory.written].filter((at) => at >= vdso - 6n * P && at < vdso)).toEqual([]);
		expect(vmas.at(-1)).toEqual({
			...{ start: 0xffffffffff600000n, end: 0xffffffffff601000n, pgoff: 0n, shmid: 0n },
			...{ prot: 4, flags: 0x22, status: 0x204 },
		});
		expect([...memory.written].filter((at) => at >= 0xffffffffff600000n)).toEqual([]);
	});

	test("are absent where the dead process had none", async () => {
		const core = without(deadCore(), vdso, vdso - 6n * P, vdso - 2n * P);
		const { vmas, memory } = await patched({
			core: { ...core, auxv: (core.auxv ?? []).filter(([type]) => type !== 33) },
		});
		expect(vmas.filter(({ status }) => (status & 0x1008) !== 0)).toEqual([]);
		expect([...memory.written].filter((at) => at >= vdso && at < stackEnd - 5n * P)).toEqual([]);
	});

	test("get back the vvar that gdb leaves out, as long as the donor's", async () => {
		const core = { ...without(deadCore(), vdso - 6n * P, vdso - 2n * P), style: "gdb" as const };
		expect((await patched({ core })).vma(vdso - 6n * P)).toMatchObject({ end: vdso, status: 0x1201, prot: 1 });
	});
});

describe("pages", () => {
	test("of file mappings come from the core where it has any, and else from the file", async () => {
		const { memory } = await patched({});
		expect(memory.page(exe + 3n * P)).toEqual(filled(0xda));
		expect(memory.written.has(exe + 3n * P)).toBe(true);
		expect(memory.written.has(exe + P)).toBe(false);
		expect(memory.page(exe + P)).toEqual(filled(0x10));
	});

	test("that equal their file are left to it where the build-ids are one, and only there", async () => {
		expect((await patched({})).memory.written.has(exe)).toBe(false);
		const other = hostWith({ [EXE]: program("99".repeat(20), 0x10) });
		const { memory, told } = await patched({}, { host: other });
		expect(memory.written.has(exe)).toBe(true);
		expect(told).toContain(
			`caution ${EXE}: has build-id ${"99".repeat(20)}, expected 00112233445566778899aabbccddeeff00112233; restore where it is as it was`,
		);
		expect((await patched({}, { host: bareHost })).memory.written.has(exe)).toBe(true);
	});

	test("a file without build-id proves nothing, so its pages are written", async () => {
		const at = { start: FREE, end: FREE + P, prot: 1, bytes: filled(9) };
		const core = withSegment(deadCore(), at, { path: "/opt/table", offset: 0n });
		const { memory, vma } = await patched({ core }, { host: hostWith({ "/opt/table": filled(9) }) });
		expect(memory.written.has(FREE)).toBe(true);
		expect(vma(FREE)).toMatchObject({ status: 0x41, flags: 2 });
	});

	test("of zeros in anonymous memory are not written, of zeros over a file's bytes are", async () => {
		const core = changeSegment(deadCore(), exe + 3n * P, (it) => ({ ...it, bytes: Buffer.alloc(4096) }));
		const { memory } = await patched({ core });
		expect(memory.written.has(exe + 3n * P)).toBe(true);
		expect(memory.written.has(heap + P)).toBe(false);
		expect(memory.page(heap)).toEqual(filled(0x4e));
	});

	test("of PROT_NONE memory with content stay", async () => {
		const tids = [500, 501];
		const guard = stackOf(deadPlaces, 1).start - P;
		const core = changeSegment(deadCore({ tids }), guard, (it) => ({ ...it, bytes: filled(0x99) }));
		const { memory, vma } = await patched({ core, donor: livingDonor({ tids: [200, 201] }) });
		expect(vma(guard)?.prot).toBe(0);
		expect(memory.page(guard)).toEqual(filled(0x99));
	});

	test("when there are none, still have an entry: CRIU crashes on a pagemap without", async () => {
		const zeros = (core: BuiltCore): BuiltCore => ({
			...core,
			segments: (core.segments ?? [])
				.filter(({ start }) => start !== vdso)
				.map((it) =>
					it.bytes === undefined || it.start === exe ? it : { ...it, bytes: Buffer.alloc(it.bytes.length) },
				)
				.map((it) =>
					it.start === exe + 3n * P || it.start === libc + 3n * P ? { ...it, bytes: Buffer.alloc(0) } : it,
				),
		});
		const { memory } = await patched({ core: zeros(deadCore()) });
		expect(memory.written.size).toBe(1);
	});

	test("of an incremental donor's parent are not asked for", async () => {
		const inParent = [...number(1, 0x5600_0100_0000n), ...number(2, 0), ...number(4, 1), ...number(5, 1)];
		const extra = { "pagemap-200.img": image(0x56084025, number(1, 1), inParent), "pages-1.img": Buffer.alloc(0) };
		const { images, told } = await patched({ donor: { ...livingDonor(), parent: "../before", extra } });
		const [, ...entries] = images.records("pagemap-500.img");
		expect(new Set(entries.map((entry) => entry.number(4)))).toEqual(new Set([4n]));
		expect(entries.some((entry) => entry.has(3))).toBe(false);
		expect(told.filter((text) => text.includes("before"))).toEqual([
			expect.stringMatching(
				/^caution .*donor: continues from ..\/before; the dead process's pages need nothing of it$/,
			),
		]);
	});
});

describe("what gdb's cores do not tell", () => {
	const gdb = (core: BuiltCore): BuiltCore => ({ ...core, style: "gdb" });
	const guardOf = stackOf(deadPlaces, 1).start - P;

	test("the guard of a thread's stack, shown readable, is PROT_NONE again", async () => {
		const tids = [500, 501];
		const core = changeSegment(deadCore({ tids }), guardOf, (it) => ({ ...it, prot: 1, bytes: Buffer.alloc(4096) }));
		const { vma, told } = await patched({ core: gdb(core), donor: livingDonor({ tids: [200, 201] }) });
		expect(vma(guardOf)?.prot).toBe(0);
		expect(told.filter((text) => text.includes("protection"))).toEqual([]);
	});

	test("the guard of a thread that the donor lacks, by a guard of that shape", async () => {
		const tids = [500, 501, 502];
		const second = stackOf(deadPlaces, 2).start - P;
		const shown = (core: BuiltCore, at: bigint): BuiltCore =>
			changeSegment(core, at, (it) => ({ ...it, prot: 1, bytes: Buffer.alloc(4096) }));
		const core = shown(shown(deadCore({ tids }), guardOf), second);
		const { vma } = await patched({ core: gdb(core), donor: livingDonor({ tids: [200, 201] }) });
		expect(vma(second)?.prot).toBe(0);
	});

	test("a readable page below memory of another size is no guard of a stack", async () => {
		const low = withSegment(deadCore(), { start: FREE, end: FREE + P, prot: 1, bytes: filled(1) });
		const core = withSegment(low, { start: FREE + P, end: FREE + 9n * P, prot: 3, bytes: filled(2, 8) });
		const { vma } = await patched({ core: gdb(core), donor: livingDonor({ tids: [200, 201] }) });
		expect(vma(FREE)?.prot).toBe(1);
	});

	test("the protection of clean file mappings, which it leaves out", async () => {
		const core = without(deadCore(), exe + P, libc + P);
		const { vma } = await patched({ core: gdb(core) });
		expect([vma(exe + P), vma(libc + P)].map((it) => [it?.prot, it?.pgoff])).toEqual([
			[5, P],
			[5, P],
		]);
	});

	test("a readable mapping like no other keeps what it shows, with a caution", async () => {
		const core = withSegment(deadCore(), { start: FREE, end: FREE + P, prot: 1, bytes: filled(1) });
		const { vma, told } = await patched({ core: gdb(core) });
		expect(vma(FREE)?.prot).toBe(1);
		expect(told).toContain("caution mapping 0x7f1000180000: gdb's cores do not tell its protection; r-- is assumed");
	});
});

describe("bounds and auxiliary vector", () => {
	test("move with the executable, the heap and the dead stack itself", async () => {
		const { mm, memory } = await patched({});
		expect([1, 2, 3, 4].map((field) => mm.number(field))).toEqual([exe + P, exe + 3n * P, exe + 3n * P, exe + 4n * P]);
		expect([6, 7].map((field) => mm.number(field))).toEqual([heap, heap + 4n * P]);
		expect(memory.read(mm.number(8), 12).toString()).toBe("prog\0--flag\0");
		expect(memory.read(mm.number(10), 7).toString()).toBe("LANG=C\0");
		expect(memory.read(mm.number(5), 8).readBigUInt64LE()).toBe(2n);
	});

	test("are never zero, even when the dead stack tells nothing", async () => {
		const core = deadCore();
		const auxv = (core.auxv ?? []).filter(([type]) => type !== 25 && type !== 31);
		const { mm, told } = await patched({ core: { ...core, auxv } });
		const sp = stackEnd - 0x4800n;
		expect([5, 8, 9, 10, 11].map((field) => mm.number(field))).toEqual([sp, sp, sp, sp, sp]);
		expect(told).toContain(
			"caution core: the auxiliary vector names no address on the stack; ps and /proc/PID/cmdline may show wrong arguments",
		);
	});

	test("of a program that never used its heap put it where the donor's would be", async () => {
		const core = without(deadCore(), heap);
		const { mm } = await patched({ core });
		expect([mm.number(6), mm.number(7)]).toEqual([heap - 0x5555_5557_0000n + exe + 0x100_0000n, exe + 0x100_0000n]);
	});

	test("the vector fits into 44 words, and says what was cut", async () => {
		const more = Array.from({ length: 20 }, (_, i) => [60 + i, BigInt(i)] as const);
		const { mm, told } = await patched({ core: deadCore({ auxv: more }) });
		const words = mm.numbers(13);
		expect(words).toHaveLength(44);
		const pairs = new Map(words.flatMap((type, i) => (i % 2 === 0 ? [[type, words[i + 1]] as const] : [])));
		expect([33n, 3n, 9n, 6n, 25n, 31n].every((type) => pairs.has(type))).toBe(true);
		expect(pairs.has(0n)).toBe(false);
		expect(told.find((text) => text.includes("auxiliary vector"))).toBe(
			"caution auxiliary vector: AT_79, AT_78, AT_77, AT_76, AT_75, AT_74, AT_73 left out of /proc/PID/auxv",
		);
	});
});
