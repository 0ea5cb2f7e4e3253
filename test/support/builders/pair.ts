import { join } from "node:path";
import { fromBuffer } from "../../../src/bytes/source.ts";
import type { HostFiles } from "../../../src/patch/binaries.ts";
import type { PatchOptions } from "../../../src/patch/patch.ts";
import { only } from "../present.ts";
import { scratch } from "../scratch.ts";
import type { Message } from "../witness/image-reader.ts";
import { type RestoredMemory, restoredMemory, type Vma } from "../witness/witness.ts";
import {
	type BuiltCore,
	type BuiltFile,
	type BuiltSegment,
	type BuiltThread,
	buildCore,
	xstateArea,
} from "./core-builder.ts";
import { deadStack } from "./dead-stack.ts";
import { type BuiltDonor, type BuiltDonorThread, type BuiltVma, writeDonor } from "./donor-builder.ts";
import { type PatchedImages, patchInto } from "./patching.ts";

/*
 * A small program in two lives, made by hand: as a core and as the images of a donor in another layout. Tests take the pair
 * apart and change what they are about.
 */

export interface Pair {
	readonly core: BuiltCore;
	readonly donor: BuiltDonor;
}

/** Where things lie in one of the lives. */
export interface Places {
	readonly exe: bigint;
	readonly heap: bigint;
	/** Thread stacks from here, 16 pages apart: guard, then stack with the thread's control block on top. */
	readonly threads: bigint;
	/** Two pages with the leader's control block. */
	readonly tls: bigint;
	readonly libc: bigint;
	/** vvar is the six pages below. */
	readonly vdso: bigint;
	readonly stackEnd: bigint;
}

export const deadPlaces: Places = {
	exe: 0x5555_5555_4000n,
	heap: 0x5555_5557_0000n,
	threads: 0x7f10_0000_0000n,
	tls: 0x7f10_0010_0000n,
	libc: 0x7f10_0020_0000n,
	vdso: 0x7f10_0030_6000n,
	stackEnd: 0x7ffd_0000_0000n,
};

export const donorPlaces: Places = {
	exe: 0x5600_0000_0000n,
	heap: 0x5600_0100_0000n,
	threads: 0x7f20_0000_0000n,
	tls: 0x7f20_0010_0000n,
	libc: 0x7f20_0020_0000n,
	vdso: 0x7f20_0030_6000n,
	stackEnd: 0x7ffe_0000_0000n,
};

export const P = 4096n;
export const EXE = "/opt/prog";
export const LIBC = "/opt/libc.so.6";
/** File ids of the donor: 1 is `/`. */
export const EXE_ID = 2;
export const LIBC_ID = 3;
const VSYSCALL = 0xffff_ffff_ff60_0000n;
const CLEAR_TID = 0x2d0n;
const ROBUST_LIST = 0x2e0n;
const RSEQ = 0x920n;

export const EXE_BUILD_ID = "00112233445566778899aabbccddeeff00112233";
export const LIBC_BUILD_ID = "ffeeddccbbaa99887766554433221100ffeeddcc";

/** A page of one byte. */
export const filled = (byte: number, pages = 1): Buffer => Buffer.alloc(4096 * pages, byte);

/** A file of four pages: an ELF header with a build-id, two pages of text, one of data. */
export const program = (buildId: string, byte: number): Buffer => {
	const id = Buffer.from(buildId, "hex");
	const first = Buffer.alloc(4096);
	first.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
	first.writeUInt16LE(3, 16);
	first.writeUInt16LE(62, 18);
	first.writeUInt32LE(1, 20);
	first.writeBigUInt64LE(64n, 32);
	for (const [at, value] of [
		[52, 64],
		[54, 56],
		[56, 1],
	] as const)
		first.writeUInt16LE(value, at);
	const noteAt = 120n;
	const length = BigInt(16 + id.length);
	first.writeUInt32LE(4, 64);
	first.writeUInt32LE(4, 68);
	for (const [i, value] of [noteAt, noteAt, noteAt, length, length, 4n].entries())
		first.writeBigUInt64LE(value, 72 + 8 * i);
	for (const [i, value] of [4, id.length, 3].entries()) first.writeUInt32LE(value, 120 + 4 * i);
	first.write("GNU\0", 132, "latin1");
	first.set(id, 136);
	return Buffer.concat([first, filled(byte, 2), filled(byte + 1)]);
};

const exeFile = program(EXE_BUILD_ID, 0x10);
const libcFile = program(LIBC_BUILD_ID, 0x20);

/** The same object with its code left out, as debuggers keep it: one section of code that takes no room. */
export const debugOnly = (buildId: string): Buffer => {
	const object = program(buildId, 1).subarray(0, 4096);
	const section = Buffer.alloc(64);
	section.writeUInt32LE(8, 4);
	section.writeBigUInt64LE(6n, 8);
	const bytes = Buffer.concat([object, Buffer.alloc(64), section]);
	bytes.writeBigUInt64LE(4096n, 40);
	bytes.writeUInt16LE(64, 58);
	bytes.writeUInt16LE(2, 60);
	return bytes;
};

/** A host that has the program and its libc, and what is given beyond. */
export const hostWith = (files: Readonly<Record<string, Buffer>> = {}): HostFiles => {
	const all = new Map(Object.entries({ [EXE]: exeFile, [LIBC]: libcFile, ...files }));
	return {
		open: (path) => {
			const bytes = all.get(path);
			return bytes === undefined ? undefined : { source: fromBuffer(path, bytes), mode: 0o100755 };
		},
	};
};

/** The thread pointer of the n-th thread, 0 for the leader. */
export const fsBaseOf = (places: Places, n: number): bigint =>
	n === 0 ? places.tls + 0x200n : stackOf(places, n).end - P;

/** The stack of the n-th thread, from 1. */
export const stackOf = ({ threads }: Places, n: number): { readonly start: bigint; readonly end: bigint } => {
	const start = threads + BigInt(n - 1) * 16n * P + P;
	return { start, end: start + 4n * P };
};

/** Six words are fixed by nature, the others a tell-tale of their place. */
export const registersOf = (places: Places, n: number, changes: Readonly<Record<number, bigint>> = {}): bigint[] => {
	const sp = n === 0 ? places.stackEnd - 0x4800n : stackOf(places, n).start + 0x1800n;
	const words = Array.from({ length: 27 }, (_, i) => BigInt(0x1000 * (n + 1) + i));
	const fixed: Readonly<Record<number, bigint>> = {
		[REG.orig_ax]: 2n ** 64n - 1n,
		[REG.ip]: places.exe + P + 0x10n,
		[REG.cs]: 0x33n,
		[REG.flags]: 0x246n,
		[REG.sp]: sp,
		[REG.ss]: 0x2bn,
		[REG.fs_base]: fsBaseOf(places, n),
		...{ 22: 0n, 23: 0n, 24: 0n, 25: 0n, 26: 0n },
	};
	return words.map((word, i) => changes[i] ?? fixed[i] ?? word);
};

/** Indices into `user_regs_struct`; an image's field is one more. */
export const REG = { ax: 10, orig_ax: 15, ip: 16, cs: 17, flags: 18, sp: 19, ss: 20, fs_base: 21 } as const;

interface DeadOptions {
	/** Leader first by age; the core lists them as {@link Life.order} says. */
	readonly tids?: readonly number[];
	readonly uid?: number;
	readonly sid?: number;
	readonly places?: Places;
	/** The more the auxiliary vector holds. */
	readonly auxv?: readonly (readonly [number, bigint])[];
}

/** A kernel core of the program, aborted from outside. Threads are as old as their place in `tids` says. */
export function deadCore({ tids = [500], uid = 0, sid, places = deadPlaces, auxv = [] }: DeadOptions = {}): BuiltCore {
	const pid = tids[0] ?? 0;
	const stack = deadStack(["prog", "--flag"], ["LANG=C"], {
		size: 0x5000,
		end: places.stackEnd,
		vdso: places.vdso,
		more: [[3, places.exe + 64n], [9, places.exe + P], ...auxv],
	});
	const { exe, heap, tls, libc, vdso } = places;
	const module = (base: bigint, bytes: Buffer, dirty: number): BuiltSegment[] => [
		{ start: base, end: base + P, prot: 1, bytes: bytes.subarray(0, 4096) },
		{ start: base + P, end: base + 3n * P, prot: 5 },
		{ start: base + 3n * P, end: base + 4n * P, prot: 3, bytes: filled(dirty) },
	];
	const blocks = tids.map((tid, n) => controlBlock(tid, fsBaseOf(places, n)));
	const threadSegments = tids.slice(1).flatMap((_, i): BuiltSegment[] => {
		const { start, end } = stackOf(places, i + 1);
		const bytes = filled(0x70 + i, 4);
		bytes.set(blocks[i + 1] ?? [], Number(end - P - start));
		return [
			{ start: start - P, end: start, prot: 0 },
			{ start, end, prot: 3, bytes },
		];
	});
	const control = Buffer.alloc(2 * 4096);
	control.set(blocks[0] ?? [], 0x200);
	return {
		threads: tids.map((tid, n): BuiltThread => deadThread(tid, places, n, { pgrp: pid, sid: sid ?? pid })),
		process: { pid, name: "prog", args: "prog --flag", uid, gid: uid, ppid: 1, pgrp: pid, sid: sid ?? pid },
		auxv: stack.auxv,
		xsaveLayout: [
			[2, 256, 576],
			[9, 8, 2432],
		],
		files: [...rowsOf(EXE, exe), ...rowsOf(LIBC, libc)],
		segments: [
			...module(exe, exeFile, 0xda),
			{ start: exe + 4n * P, end: exe + 5n * P, prot: 3, bytes: filled(0xb5) },
			{ start: heap, end: heap + 4n * P, prot: 3, bytes: Buffer.concat([filled(0x4e), Buffer.alloc(3 * 4096)]) },
			...threadSegments,
			{ start: tls, end: tls + 2n * P, prot: 3, bytes: control },
			...module(libc, libcFile, 0xdb),
			{ start: vdso - 6n * P, end: vdso - 2n * P, prot: 1, bytes: Buffer.alloc(4 * 4096) },
			{ start: vdso - 2n * P, end: vdso, prot: 1, bytes: Buffer.alloc(2 * 4096) },
			{ start: vdso, end: vdso + 2n * P, prot: 5, bytes: filled(0xdd, 2) },
			{ start: stack.start, end: stack.end, prot: 3, bytes: stack.bytes },
			{ start: VSYSCALL, end: VSYSCALL + P, prot: 4, bytes: Buffer.alloc(4096) },
		],
	};
}

export function deadThread(
	tid: number,
	places: Places,
	n: number,
	more: Partial<BuiltThread> & { readonly changes?: Readonly<Record<number, bigint>> } = {},
): BuiltThread {
	const { changes = {}, ...rest } = more;
	return {
		tid,
		signal: 6,
		ppid: 1,
		registers: registersOf(places, n, changes),
		xstate: xstateArea(2440, 0x207n, 0x202n, [[2432, Buffer.from("5455555500000000", "hex")]]),
		...rest,
	};
}

/** glibc's: the thread's id where the kernel clears it, and an rseq area registered on processor 0. */
function controlBlock(tid: number, _fsBase: bigint): Buffer {
	const block = Buffer.alloc(0xa00);
	block.writeInt32LE(tid, Number(CLEAR_TID));
	return block;
}

const rowsOf = (path: string, base: bigint): BuiltFile[] => [
	{ path, offset: 0n, start: base, end: base + P },
	{ path, offset: P, start: base + P, end: base + 3n * P },
	{ path, offset: 3n * P, start: base + 3n * P, end: base + 4n * P },
];

const [ANON, FILE, STACK] = [
	{ flags: 0x22, status: 0x201 },
	{ flags: 0x2, status: 0x41, fdflags: 0 },
	{ flags: 0x122, status: 0x201 },
];

/** The images of the program alive, with a log open for writing as descriptor 3. */
export function livingDonor({
	tids = [200],
	places = donorPlaces,
}: {
	tids?: readonly number[];
	places?: Places;
} = {}): BuiltDonor {
	const pid = tids[0] ?? 0;
	const { exe, heap, tls, libc, vdso, stackEnd } = places;
	const module = (base: bigint, shmid: number): BuiltVma[] => [
		{ ...FILE, shmid, start: base, end: base + P, prot: 1 },
		{ ...FILE, shmid, start: base + P, end: base + 3n * P, prot: 5, pgoff: P },
		{ ...FILE, shmid, start: base + 3n * P, end: base + 4n * P, prot: 3, pgoff: 3n * P },
	];
	const stackStart = stackEnd - 5n * P;
	return {
		pid,
		comm: "prog",
		threads: tids.map((tid, n) => donorThread(tid, places, n)),
		vmas: [
			...module(exe, EXE_ID),
			{ ...ANON, start: exe + 4n * P, end: exe + 5n * P, prot: 3 },
			{ ...ANON, status: 0x221, start: heap, end: heap + 4n * P, prot: 3 },
			...tids.slice(1).flatMap((_, i): BuiltVma[] => {
				const { start, end } = stackOf(places, i + 1);
				return [
					{ ...ANON, start: start - P, end: start, prot: 0 },
					{ ...ANON, start, end, prot: 3 },
				];
			}),
			{ ...ANON, start: tls, end: tls + 2n * P, prot: 3 },
			...module(libc, LIBC_ID),
			{ flags: 0x22, status: 0x1201, start: vdso - 6n * P, end: vdso, prot: 1, madv: 1n << 16n },
			{ flags: 0x22, status: 0x209, start: vdso, end: vdso + 2n * P, prot: 5 },
			{ ...STACK, start: stackStart, end: stackEnd, prot: 3 },
			{ flags: 0x22, status: 0x204, start: VSYSCALL, end: VSYSCALL + P, prot: 4 },
		],
		bounds: [
			...[exe + P, exe + 3n * P, exe + 3n * P, exe + 4n * P],
			...[stackEnd - 0x1000n, heap, heap + 4n * P],
			...[stackEnd - 0x200n, stackEnd - 0x180n, stackEnd - 0x180n, stackEnd - 0x20n],
		],
		exe: EXE_ID,
		files: [
			{ id: 1, name: "/", flags: 0o200000, mode: 0o40755 },
			{ id: EXE_ID, name: EXE, size: exeFile.length, mode: 0o100755, buildId: EXE_BUILD_ID },
			{ id: LIBC_ID, name: LIBC, size: libcFile.length, mode: 0o100755, buildId: LIBC_BUILD_ID },
			{ id: 4, name: "/var/log/prog", flags: 0o102001, position: 77, mode: 0o100644 },
		],
		descriptors: [{ fd: 3, id: 4, type: 1 }],
		actions: {
			2: { handler: exe + P + 0x40n, restorer: libc + P + 0x80n, flags: 0x4000004n, mask: 0x8000n },
			13: { handler: 1n },
		},
		pages: [[stackStart, filled(0x5a)]],
	};
}

export const donorThread = (tid: number, places: Places, n: number): BuiltDonorThread => {
	const fsBase = fsBaseOf(places, n);
	return {
		tid,
		name: n === 0 ? "prog" : `worker ${n}`,
		registers: Object.fromEntries(registersOf(places, n).map((value, i) => [i + 1, value])),
		clearTid: fsBase + CLEAR_TID,
		robustList: fsBase + ROBUST_LIST,
		rseq: fsBase + RSEQ,
	};
};

/** A mapping more in the core: a segment and, where it has a file, its row. */
export const withSegment = (
	core: BuiltCore,
	segment: BuiltSegment,
	file?: Pick<BuiltFile, "path" | "offset">,
): BuiltCore => {
	const segments = [...(core.segments ?? []), segment].sort((a, b) => (a.start < b.start ? -1 : 1));
	const { start, end } = segment;
	const files = file === undefined ? core.files : [...(core.files ?? []), { ...file, start, end }];
	return { ...core, segments, files: [...(files ?? [])].sort((a, b) => (a.start < b.start ? -1 : 1)) };
};

/** The segment that starts at an address, changed. */
export const changeSegment = (
	core: BuiltCore,
	start: bigint,
	change: (segment: BuiltSegment) => BuiltSegment,
): BuiltCore => ({
	...core,
	segments: (core.segments ?? []).map((segment) => (segment.start === start ? change(segment) : segment)),
});

/** A mapping more in the donor. */
export const withVma = (donor: BuiltDonor, vma: BuiltVma): BuiltDonor => ({
	...donor,
	vmas: [...donor.vmas, vma].sort((a, b) => (a.start < b.start ? -1 : 1)),
});

export interface PatchedPair extends PatchedImages {
	readonly mm: Message;
	readonly memory: RestoredMemory;
	readonly vmas: readonly Vma[];
	/** core-TID.img */
	core(tid: number): Message;
	/** The VMA that starts at an address. */
	vma(start: bigint): Vma | undefined;
}

/** Patches a pair in a directory that goes away after the test. */
export async function patchPair(
	{ core = deadCore(), donor = livingDonor() }: Partial<Pair>,
	options: Partial<PatchOptions> = {},
): Promise<PatchedPair> {
	const directory = scratch();
	const source = fromBuffer("core", buildCore(core));
	const patched = await patchInto(source, writeDonor(join(directory, "donor"), donor), join(directory, "out"), {
		host: hostWith(),
		...options,
	});
	const { images } = patched;
	const pid = core.process?.pid ?? 0;
	const memory = restoredMemory(images, pid, ({ name }) =>
		name === EXE ? exeFile : name === LIBC ? libcFile : undefined,
	);
	return {
		...patched,
		mm: only(images.records(`mm-${pid}.img`)),
		memory,
		vmas: memory.vmas,
		core: (tid) => only(images.records(`core-${tid}.img`)),
		vma: (start) => memory.vmas.find((vma) => vma.start === start),
	};
}
