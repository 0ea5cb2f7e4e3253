import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
	fixtureCore,
	fixtureNames,
	fixtureOrigin,
	fixturePath,
	fixtureText,
	type MapsLine,
	parseMaps,
} from "../support/builders/fixture-core.ts";
import { bareHost, hostWithVictims, type PatchedImages, patchInto } from "../support/builders/patching.ts";
import { only, present } from "../support/present.ts";
import { type RawCore, type RawThread, readRawCore, wordsOf } from "../support/witness/core-reader.ts";
import { digests } from "../support/witness/directory-print.ts";
import { type Message, type ReadImages, readImages } from "../support/witness/image-reader.ts";
import { compareWithCore, regFilesOf, restoredMemory, type Vma, vmasOf } from "../support/witness/witness.ts";

/*
 * Every fixture is patched, and the result is read by a witness that shares no code with src/: the core by
 * core-reader.ts, the images by image-reader.ts, the truth from /proc as it was saved when the process lived.
 */

const scratch = mkdtempSync(join(tmpdir(), "necromancer-golden-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

/** After every death and every donor, so that the clock has to be moved. */
const clock = { given: 10n ** 18n + 5n };

const hosts = { "binaries at hand": hostWithVictims(), "no binary at hand": bareHost };
afterAll(hosts["binaries at hand"].close);

interface Case {
	readonly name: string;
	readonly core: RawCore;
	readonly dead: readonly MapsLine[];
	readonly donorMaps: readonly MapsLine[];
	readonly donorPid: number;
	readonly donor: ReadImages;
	readonly patched: Readonly<Record<keyof typeof hosts, PatchedImages>>;
	readonly images: ReadImages;
}

const corePath = (name: string): string => join(scratch, `${name}.core`);
const donorPath = (name: string): string => fixturePath(`${name}/images`);

async function prepared(name: string): Promise<Case> {
	const bytes = fixtureCore(name);
	writeFileSync(corePath(name), bytes);
	const to = (kind: string): string => join(scratch, `${name} ${kind}`);
	const patched = {
		"binaries at hand": await patchInto(corePath(name), donorPath(name), to("at hand"), {
			host: hosts["binaries at hand"],
			clock,
		}),
		"no binary at hand": await patchInto(corePath(name), donorPath(name), to("bare")),
	};
	const donor = readImages(donorPath(name));
	return {
		name,
		core: readRawCore(bytes),
		dead: parseMaps(fixtureText(name, "dead.maps")),
		donorMaps: parseMaps(fixtureText(name, "donor.maps")),
		donorPid: Number(only(donor.records("pstree.img")).number(1)),
		donor,
		patched,
		images: patched["binaries at hand"].images,
	};
}

const PAGE = 4096n;
const hex = (value: bigint): string => `0x${value.toString(16)}`;

describe.each(fixtureNames)("%s, patched", (name) => {
	let it_: Case;
	beforeAll(async () => {
		it_ = await prepared(name);
	});

	describe.each(Object.keys(hosts) as (keyof typeof hosts)[])("with %s", (kind) => {
		it("restores every page of private memory as the core has it", () => {
			const { core, patched } = it_;
			const { images } = patched[kind];
			const memory = restoredMemory(images, core.pid);
			const { compared, wrong } = compareWithCore(memory, core);
			expect(wrong).toEqual([]);
			expect(compared.size).toBeGreaterThan(20);
			expect([...memory.written].filter((at) => !compared.has(at)).map(hex)).toEqual([]);
			// what equals its file, or is zero in anonymous memory, is left out
			const anonymous = memory.vmas.filter(({ status }) => (status & 0x209) === 0x201);
			const files = memory.vmas.filter(({ status }) => (status & 0x40) !== 0);
			const inside = (vmas: readonly Vma[], at: bigint): boolean =>
				vmas.some(({ start, end }) => start <= at && at < end);
			const wasted = [...memory.written].filter((at) => {
				if (!inside(anonymous, at) && !(kind === "binaries at hand" && inside(files, at))) return false;
				const [written, unwritten] = [memory.page(at), memory.unwritten(at)];
				return typeof written !== "string" && typeof unwritten !== "string" && written.equals(unwritten);
			});
			expect(wasted.map(hex)).toEqual([]);
		});
	});

	it("has the mappings that /proc/PID/maps showed", () => {
		const { core, dead, donor, donorPid, donorMaps, images } = it_;
		const vmas = vmasOf(only(images.records(`mm-${core.pid}.img`)));
		const donors = vmasOf(only(donor.records(`mm-${donorPid}.img`)));
		const files = regFilesOf(images);
		const donorFiles = regFilesOf(donor);
		const lines = withOneVvar(dead);
		// both ran the same program the same way, so line by line the donor's flags are what the dead one's were
		expect(lines.map(({ name: what, perms }) => `${perms} ${what}`)).toEqual(
			withOneVvar(donorMaps).map(({ name: what, perms }) => `${perms} ${what}`),
		);
		const shown = (vma: Vma, from: ReadonlyMap<number, { readonly name: string }>) => ({
			...vma,
			shmid: vma.shmid === 0n ? "" : present(from.get(Number(vma.shmid))).name,
		});
		const isFile = ({ name: what }: MapsLine): boolean => what.startsWith("/");
		expect(vmas.map((vma) => shown(vma, files))).toEqual(
			lines.map((line, i) => ({
				...shown(present(donors[i]), donorFiles),
				start: line.start,
				end: line.end,
				pgoff: line.offset,
				prot: protOf(line),
				...(isFile(line) ? { fdflags: 0 } : {}),
			})),
		);
		const stack = present(vmas.find((_, i) => lines[i]?.name === "[stack]"));
		expect(stack).toMatchObject({ status: 0x201, flags: 0x122 });
		const heap = present(vmas.find((_, i) => lines[i]?.name === "[heap]"));
		expect(heap).toMatchObject({ status: 0x221, flags: 0x22 });
		const vdso = present(vmas.find((_, i) => lines[i]?.name === "[vdso]"));
		expect(vdso).toMatchObject({ start: core.auxv.get(33), status: 0x209, prot: 5 });
		const vvar = present(vmas.find((_, i) => lines[i]?.name === "[vvar]"));
		expect(vvar).toMatchObject({ end: vdso.start, status: 0x1201, prot: 1, madv: 1n << 16n });
		expect(vmas.at(-1)).toMatchObject({ start: 0xffffffffff600000n, status: 0x204, prot: 4 });
	});

	it("has code, data, heap, stack, arguments and environment where they were", () => {
		const { core, dead, donor, donorPid, donorMaps, images } = it_;
		const mm = only(images.records(`mm-${core.pid}.img`));
		const donors = only(donor.records(`mm-${donorPid}.img`));
		const slide = present(dead[0]).start - present(donorMaps[0]).start;
		for (const field of [1, 2, 3, 4]) expect(mm.number(field)).toBe(donors.number(field) + slide);
		const heap = present(dead.find(({ name: what }) => what === "[heap]"));
		expect(mm.number(6)).toBe(heap.start);
		expect(mm.number(7)).toBeGreaterThan(heap.end - PAGE);
		expect(mm.number(7)).toBeLessThanOrEqual(heap.end);

		const memory = restoredMemory(images, core.pid);
		const { command } = fixtureOrigin(name);
		const text = (from: number): string[] =>
			memory
				.read(mm.number(from), Number(mm.number(from + 1) - mm.number(from)))
				.toString()
				.split("\0");
		expect(text(8)).toEqual([...command, ""]);
		const environment = text(10);
		expect(environment.pop()).toBe("");
		expect(environment.filter((entry) => !/^\w+=/.test(entry))).toEqual([]);
		// the path given to execve follows (AT_EXECFN), and argc lies at the start of the stack
		expect(mm.number(11)).toBe(core.auxv.get(31));
		expect(memory.read(mm.number(5), 8).readBigUInt64LE()).toBe(BigInt(command.length));
		const stack = present(dead.find(({ name: what }) => what === "[stack]"));
		expect(mm.number(5) >= stack.start && mm.number(11) < stack.end).toBe(true);

		const auxv = mm.numbers(13);
		expect(auxv.length).toBeLessThanOrEqual(44);
		for (let i = 0; i < auxv.length; i += 2) expect(core.auxv.get(Number(auxv[i]))).toBe(auxv[i + 1]);
		expect(auxv.length / 2).toBe(Math.min(22, [...core.auxv.keys()].filter((type) => type !== 0).length));
		expect(regFilesOf(images).get(Number(mm.number(12)))?.name).toBe(present(dead[0]).name);
	});

	it("has every thread as it died, with what the donor knew moved to its place", () => {
		const { core, donor, donorPid, images } = it_;
		const memory = restoredMemory(images, core.pid);
		const pairs = pairsByAge(it_);
		expect(pairs).toHaveLength(core.threads.length);
		const gdb = core.notes.some(({ owner }) => owner === "GDB");
		const leaderMask = present(/^SigBlk:\s*(\w+)$/m.exec(fixtureText(name, "dead.status"))?.[1]);
		for (const [thread, donorTid] of pairs) {
			const image = only(images.records(`core-${thread.tid}.img`));
			const donors = only(donor.records(`core-${donorTid}.img`));
			const [info, donorInfo] = [image.message(2), donors.message(2)];
			expect(image.number(1)).toBe(1n);

			const registers = info.message(2);
			const expected = asCriuStoresThem(thread.registers);
			expect(Array.from({ length: 27 }, (_, i) => hex(registers.number(i + 1)))).toEqual(expected.map(hex));
			expect(registers.number(28)).toBe(1n);

			const fsBase = present(thread.registers[21]);
			const donorFsBase = donorInfo.message(2).number(22);
			const moved = (donorAddress: bigint): bigint => fsBase + donorAddress - donorFsBase;
			expect(info.number(1)).toBe(moved(donorInfo.number(1)));
			expect(memory.read(info.number(1), 4).readInt32LE()).toBe(thread.tid);
			const [attributes, donorAttributes] = [image.message(5), donors.message(5)];
			expect(attributes.number(1)).toBe(moved(donorAttributes.number(1)));
			expect(attributes.number(2)).toBe(24n);
			const [rseq, donorRseq] = [attributes.message(15), donorAttributes.message(15)];
			expect(rseq.number(1)).toBe(moved(donorRseq.number(1)));
			expect([rseq.number(2), rseq.number(3)]).toEqual([32n, 0x53053053n]);
			expect(rseq.has(4)).toBe(false);

			expectFpu(core, thread, info.message(3), donorInfo.message(3), gdb);

			const leader = thread.tid === core.pid;
			const blocked = gdb ? maskOf(donors, donorTid === donorPid) : thread.blocked;
			expect(maskOf(image, leader)).toBe(blocked);
			if (leader) expect(blocked).toBe(BigInt(`0x${leaderMask}`));
			expect([image.has(3), image.has(4)]).toEqual([leader, false]);
			expect(attributes.bytes(10)).toEqual(donorAttributes.bytes(10));
			for (const same of [3, 4, 5, 8, 11, 16])
				expect(attributes.numbers(same), `thread_core field ${same}`).toEqual(donorAttributes.numbers(same));
			expect(attributes.message(9).fields).toEqual([]);
			expect(attributes.text(13)).toBe(leader ? core.name : donorAttributes.text(13));
		}
	});

	it("has the donor's handlers at the same bytes of the same files, and its limits and timers", () => {
		const { core, dead, donor, donorPid, donorMaps, images } = it_;
		const task = only(images.records(`core-${core.pid}.img`)).message(3);
		const donors = only(donor.records(`core-${donorPid}.img`)).message(3);
		const moved = (at: bigint): bigint => {
			if (at < 2n) return at;
			const from = present(donorMaps.find(({ start, end }) => start <= at && at < end));
			const to = present(dead.find((line) => line.name === from.name && line.offset === from.offset));
			return to.start + at - from.start;
		};
		const actions = (entry: Message) => entry.messages(15);
		expect(actions(task)).toHaveLength(62);
		expect(actions(task).map((action) => [1, 2, 3, 4].map((field) => hex(action.number(field))))).toEqual(
			actions(donors).map((action) =>
				[moved(action.number(1)), action.number(2), moved(action.number(3)), action.number(4)].map(hex),
			),
		);
		expect(task.bytes(7)).toEqual(donors.bytes(7));
		const limits = (entry: Message) =>
			entry
				.message(8)
				.messages(1)
				.map((limit) => [limit.number(1), limit.number(2)]);
		// lest it leaves a core where its own was
		expect(limits(task)).toEqual(limits(donors).map(([soft, hard], number) => [number === 4 ? 0n : soft, hard]));
		expect([task.number(1), task.number(2), task.text(6)]).toEqual([1n, 0n, core.name]);
		expect(task.message(10).fields).toEqual([]);
	});

	it("is named after the dead process throughout", () => {
		const { core, donor, donorPid, images } = it_;
		const tids = pairsByAge(it_).map(([{ tid }]) => BigInt(tid));
		const tree = only(images.records("pstree.img"));
		expect([1, 2, 3, 4].map((field) => tree.number(field))).toEqual([BigInt(core.pid), 0n, tids[0], tids[0]]);
		expect(tree.numbers(5)).toEqual(tids);
		expect(tids[0]).toBe(BigInt(core.pid));
		const donorTids = only(donor.records("pstree.img")).numbers(5);
		const renamed = new Map(donorTids.map((tid, i) => [`core-${tid}.img`, `core-${tids[i]}.img`]));
		for (const kind of ["mm", "fs", "ids", "pagemap"])
			renamed.set(`${kind}-${donorPid}.img`, `${kind}-${core.pid}.img`);
		expect(images.names).toEqual(donor.names.map((file) => renamed.get(file) ?? file).sort());
		for (const kind of ["fs", "ids"])
			expect(images.raw(`${kind}-${core.pid}.img`)).toEqual(donor.raw(`${kind}-${donorPid}.img`));
	});

	it("keeps what it need not edit byte for byte, and every file private to its owner", () => {
		const { core, donor, images } = it_;
		const edited = /^(pstree|files|core-\d+|mm-\d+|pagemap-\d+|pages-1|timens-0)\.img$/;
		const kept = images.names.filter((file) => !edited.test(file));
		expect(kept).toEqual(expect.arrayContaining(["inventory.img", "fdinfo-2.img", "seccomp.img", "stats-dump"]));
		for (const file of kept) {
			const from = file.replace(String(core.pid), String(it_.donorPid));
			expect(images.raw(file).equals(donor.raw(from)), file).toBe(true);
		}
		const modes = images.names.map((file) => statSync(join(images.path, file)).mode & 0o7777);
		expect(new Set(modes)).toEqual(new Set([0o600]));
		expect(statSync(images.path).mode & 0o7777).toBe(0o700);
	});

	it("keeps the donor's open files, and forgets only the sizes of those that are written to", () => {
		const { donor, images } = it_;
		const [before, after] = [donor.records("files.img"), images.records("files.img")];
		expect(after.map((entry) => [entry.number(1), entry.number(2)])).toEqual(
			before.map((entry) => [entry.number(1), entry.number(2)]),
		);
		const [files, donorFiles] = [regFilesOf(images), regFilesOf(donor)];
		const open = new Set(donor.records("fdinfo-2.img").map((entry) => Number(entry.number(1))));
		for (const [id, file] of donorFiles) {
			const { size, ...rest } = file;
			expect(files.get(id)).toEqual(open.has(id) && (file.flags & 3) !== 0 ? rest : file);
			if ((file.flags & 0o2001) === 0o2001) expect(size).toBeUndefined();
		}
	});

	it("lets the clocks go on from where they are said to have stood", () => {
		const { donor, images } = it_;
		const [now, before] = [images, donor].map((dir) => {
			const record = only(dir.records("timens-0.img"));
			return [1, 2].map((field) => record.message(field).number(1) * 1_000_000_000n + record.message(field).number(2));
		});
		const [monotonic = 0n, boottime = 0n] = before ?? [];
		expect(now).toEqual([clock.given, clock.given + (boottime > monotonic ? boottime - monotonic : 0n)]);
	});

	it("is the same again when it is patched twice", async () => {
		const { images } = it_;
		const again = await patchInto(corePath(name), images.path, join(scratch, `${name} again`), {
			host: hosts["binaries at hand"],
			clock,
		});
		expect(digests(again.images.path)).toEqual(digests(images.path));
	});
});

/** The vvar area as one line, as CRIU has it. */
function withOneVvar(lines: readonly MapsLine[]): MapsLine[] {
	const clock = lines.find(({ name }) => name === "[vvar_vclock]");
	return lines
		.filter((line) => line !== clock)
		.map((line) => (line.name === "[vvar]" && clock?.start === line.end ? { ...line, end: clock.end } : line));
}

const protOf = ({ perms }: MapsLine): number =>
	(perms[0] === "r" ? 1 : 0) | (perms[1] === "w" ? 2 : 0) | (perms[2] === "x" ? 4 : 0);

/** Leader with leader, then by age. No fixture's ids wrap. */
function pairsByAge({ core, donor }: Case): [RawThread, number][] {
	const theirs = only(donor.records("pstree.img"))
		.numbers(5)
		.map(Number)
		.sort((a, b) => a - b);
	return [...core.threads]
		.sort((a, b) => a.tid - b.tid)
		.map((thread, i): [RawThread, number] => [thread, present(theirs[i])]);
}

const maskOf = (image: Message, leader: boolean): bigint =>
	leader ? image.message(3).number(5) : image.message(5).number(6);

const [AX, ORIG_AX, IP] = [10, 15, 16];

/** The fix-ups of CRIU's own dump: restart the call, or let it return EINTR (criu-facts C.11). */
function asCriuStoresThem(registers: readonly bigint[]): bigint[] {
	const ax = BigInt.asIntN(64, present(registers[AX]));
	const call = BigInt.asIntN(64, present(registers[ORIG_AX]));
	const out = [...registers];
	if (call >= 0n && [-512n, -513n, -514n].includes(ax)) {
		out[AX] = present(registers[ORIG_AX]);
		out[IP] = present(registers[IP]) - 2n;
	} else if (call >= 0n && ax === -516n) out[AX] = BigInt.asUintN(64, -4n);
	return out;
}

function expectFpu(core: RawCore, { xstate }: RawThread, image: Message, donor: Message, gdb: boolean): void {
	const u32s = (at: number, count: number): bigint[] =>
		Array.from({ length: count }, (_, i) => BigInt(xstate.readUInt32LE(at + 4 * i)));
	const legacy = [0, 2, 4, 6].map((at) => BigInt(xstate.readUInt16LE(at)));
	expect([1, 2, 3, 4].map((field) => image.number(field))).toEqual(legacy);
	expect([5, 6].map((field) => image.number(field))).toEqual(wordsOf(xstate.subarray(8, 24)));
	expect([7, 8].map((field) => image.number(field))).toEqual(u32s(24, 2));
	expect(image.numbers(9)).toEqual(u32s(32, 32));
	expect(image.numbers(10)).toEqual(u32s(160, 64));
	const [xsave, donors] = [image.message(13), donor.message(13)];
	const inUse = xstate.readBigUInt64LE(512);
	// gdb misplaces PKRU on processors that are not Intel's, and so shows a zero; the donor's is right
	expect(xsave.number(1)).toBe(gdb ? inUse | (donors.number(1) & 0x200n) : inUse);
	expect(xsave.numbers(2)).toEqual(u32s(present(core.offsets.get(2)), 64));
	expect(xsave.numbers(8)).toEqual(gdb ? donors.numbers(8) : u32s(present(core.offsets.get(9)), 2));
	expect(xsave.numbers(8)[0]).toBe(0x55555554n);
	for (const field of [3, 4, 5, 6, 7])
		expect(xsave.numbers(field).length, `xsave field ${field}`).toBe(donors.numbers(field).length);
}
