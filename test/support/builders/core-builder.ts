/**
 * Builds ELF cores byte by byte, as the independent witness of the readers: nothing here comes from src/. Offsets and numbers
 * are from elf(5), include/linux/elfcore.h and dumps of Linux 6.18 and gdb 13.
 */

export interface BuiltThread {
	readonly tid: number;
	/** 27 words in `user_regs_struct` order; missing ones are 0. */
	readonly registers?: readonly bigint[];
	readonly signal?: number;
	readonly pending?: bigint;
	readonly blocked?: bigint;
	readonly ppid?: number;
	readonly pgrp?: number;
	readonly sid?: number;
	/** NT_FPREGSET, of whatever size. */
	readonly fx?: Uint8Array;
	/** NT_X86_XSTATE, see {@link xstateArea}. */
	readonly xstate?: Uint8Array;
	/** NT_SIGINFO. A kernel core has it for the first thread only. */
	readonly siginfo?: Uint8Array;
	/** NT_X86_SHSTK. */
	readonly shadowStack?: bigint;
	/** Bytes instead of the NT_PRSTATUS made from the above. */
	readonly prstatus?: Uint8Array;
}

export interface BuiltSegment {
	readonly start: bigint;
	readonly end: bigint;
	/** mmap(2) bits: 1 read, 2 write, 4 execute. */
	readonly prot: number;
	/** What the file holds of it, from its start; may be shorter than it, or absent. */
	readonly bytes?: Uint8Array;
}

export interface BuiltFile {
	readonly start: bigint;
	readonly end: bigint;
	/** In bytes. */
	readonly offset: bigint;
	/** Without NUL; add " (deleted)" yourself. */
	readonly path: string | Uint8Array;
}

export interface BuiltNote {
	readonly owner: string;
	readonly type: number;
	readonly desc: Uint8Array;
}

export interface BuiltCore {
	/** Note order, note place, segment alignment and NT_FILE unit as the kernel's or gdb's. Default kernel. */
	readonly style?: "kernel" | "gdb";
	readonly threads: readonly BuiltThread[];
	/** Leader's pid, name, arguments; `null`: no NT_PRPSINFO. */
	readonly process?: {
		readonly pid: number;
		readonly name?: string;
		readonly args?: string;
		readonly uid?: number;
		readonly gid?: number;
		readonly nice?: number;
		readonly ppid?: number;
		readonly pgrp?: number;
		readonly sid?: number;
	} | null;
	/** Type and value, AT_NULL being added; `null`: no NT_AUXV. */
	readonly auxv?: readonly (readonly [number, bigint])[] | null;
	/** Absent: no NT_FILE. */
	readonly files?: readonly BuiltFile[];
	/** Unit of NT_FILE's offsets. Default 4096, for gdb 1. */
	readonly filePageSize?: bigint;
	/** Bytes instead of the NT_FILE made from the above. */
	readonly fileNote?: Uint8Array;
	/** Written in this order, sorted or not. */
	readonly segments?: readonly BuiltSegment[];
	/** NT_X86_XSAVE_LAYOUT: component, size, offset. */
	readonly xsaveLayout?: readonly (readonly [number, number, number])[];
	/** Appended to the notes. */
	readonly extraNotes?: readonly BuiltNote[];
	/** Into how many PT_NOTE segments the notes are spread. Default 1. */
	readonly noteSegments?: number;
	/** Count program headers the way of more than 65,534 of them, however many there are. */
	readonly xnum?: boolean;
}

/** An ordinary auxiliary vector whose addresses point nowhere in particular. */
export const someAuxv: readonly (readonly [number, bigint])[] = [
	[33, 0x7ffff7fc1000n],
	[6, 4096n],
	[3, 0x555555554040n],
	[9, 0x555555555040n],
];

export function buildCore(core: BuiltCore): Buffer {
	const gdb = core.style === "gdb";
	const segments = core.segments ?? [];
	const groups = spread(gdb ? gdbNotes(core) : kernelNotes(core), core.noteSegments ?? 1).map((group) =>
		Buffer.concat(group.map(note)),
	);
	const phnum = groups.length + segments.length;
	const headersEnd = 64 + 56 * phnum;
	const noteBytes = groups.reduce((sum, group) => sum + group.length, 0);
	const memoryBytes = segments.reduce((sum, { bytes }) => sum + (bytes?.length ?? 0), 0);

	// The kernel: headers, notes, memory from the next page on. gdb: headers, memory at once, notes.
	const memoryAt = gdb ? headersEnd : roundUp(headersEnd + noteBytes, 4096);
	const notesAt = gdb ? roundUp(headersEnd + memoryBytes, 4) : headersEnd;
	const end = Math.max(memoryAt + memoryBytes, notesAt + noteBytes);
	const shoff = core.xnum ? roundUp(end, 8) : 0;
	const out = Buffer.alloc(core.xnum ? shoff + 64 : end);
	out.set(elfHeader(core.xnum ? 0xffff : phnum, shoff), 0);
	if (core.xnum) {
		out.writeUInt32LE(1, shoff + 32);
		out.writeUInt32LE(phnum, shoff + 44);
	}

	let header = 64;
	let at = notesAt;
	for (const group of groups) {
		out.set(programHeader(4, gdb ? 4 : 0, at, 0n, group.length, 0n, gdb ? 1 : 4), header);
		out.set(group, at);
		at += group.length;
		header += 56;
	}
	at = memoryAt;
	for (const { start, end: to, prot, bytes } of segments) {
		const flags = ((prot & 1) << 2) | (prot & 2) | ((prot & 4) >> 2);
		out.set(programHeader(1, flags, at, start, bytes?.length ?? 0, to - start, gdb ? 1 : 4096), header);
		if (bytes) out.set(bytes, at);
		at += bytes?.length ?? 0;
		header += 56;
	}
	return out;
}

/**
 * An XSAVE area in the standard format: `bv` at 512, `xcr0` at 464, the x87 control word and MXCSR as after reset, each
 * component's bytes at its offset.
 */
export function xstateArea(
	size: number,
	xcr0: bigint,
	bv: bigint,
	components: readonly (readonly [number, Uint8Array])[] = [],
): Buffer {
	const area = Buffer.alloc(size);
	area.writeUInt16LE(0x37f, 0);
	area.writeUInt32LE(0x1f80, 24);
	area.writeBigUInt64LE(xcr0, 464);
	area.writeBigUInt64LE(bv, 512);
	for (const [offset, bytes] of components) area.set(bytes, offset);
	return area;
}

function kernelNotes(core: BuiltCore): BuiltNote[] {
	const [first, ...rest] = core.threads;
	const notes: BuiltNote[] = [];
	if (first) notes.push(own(1, first.prstatus ?? prstatus(first)));
	notes.push(...processNote(core));
	if (first?.siginfo) notes.push(own(0x53494749, first.siginfo));
	notes.push(...auxvNote(core), ...fileNotes(core));
	if (first) notes.push(...registerNotes(first));
	for (const thread of rest) {
		notes.push(own(1, thread.prstatus ?? prstatus(thread)), ...registerNotes(thread));
		if (thread.siginfo) notes.push(own(0x53494749, thread.siginfo));
	}
	if (core.xsaveLayout) notes.push({ owner: "LINUX", type: 0x205, desc: xsaveLayout(core.xsaveLayout) });
	return [...notes, ...(core.extraNotes ?? [])];
}

function gdbNotes(core: BuiltCore): BuiltNote[] {
	const threads = core.threads.flatMap((thread) => [
		own(1, thread.prstatus ?? prstatus(thread)),
		...registerNotes(thread),
		...(thread.siginfo ? [own(0x53494749, thread.siginfo)] : []),
	]);
	const description = { owner: "GDB", type: 0xff000000, desc: Buffer.from("<?xml version='1.0'?><target/>\0") };
	const extra = core.extraNotes ?? [];
	return [...processNote(core), ...threads, ...auxvNote(core), ...fileNotes(core), description, ...extra];
}

const own = (type: number, desc: Uint8Array): BuiltNote => ({ owner: "CORE", type, desc });

const registerNotes = ({ fx, xstate, shadowStack }: BuiltThread): BuiltNote[] => [
	...(fx ? [own(2, fx)] : []),
	...(xstate ? [{ owner: "LINUX", type: 0x202, desc: xstate }] : []),
	...(shadowStack === undefined ? [] : [{ owner: "LINUX", type: 0x204, desc: word(shadowStack) }]),
];

function prstatus(thread: BuiltThread): Buffer {
	const raw = Buffer.alloc(336);
	raw.writeInt32LE(thread.signal ?? 0, 0);
	raw.writeInt16LE(thread.signal ?? 0, 12);
	raw.writeBigUInt64LE(thread.pending ?? 0n, 16);
	raw.writeBigUInt64LE(thread.blocked ?? 0n, 24);
	raw.writeInt32LE(thread.tid, 32);
	raw.writeInt32LE(thread.ppid ?? 0, 36);
	raw.writeInt32LE(thread.pgrp ?? 0, 40);
	raw.writeInt32LE(thread.sid ?? 0, 44);
	for (const [i, value] of (thread.registers ?? []).entries()) raw.writeBigUInt64LE(value, 112 + 8 * i);
	raw.writeInt32LE(thread.fx ? 1 : 0, 328);
	return raw;
}

function processNote({ process, threads }: BuiltCore): BuiltNote[] {
	if (process === null) return [];
	const raw = Buffer.alloc(136);
	raw.write("R", 1, "latin1");
	raw.writeUInt8(process?.nice ?? 0, 3);
	raw.writeUInt32LE(process?.uid ?? 0, 16);
	raw.writeUInt32LE(process?.gid ?? 0, 20);
	raw.writeInt32LE(process?.pid ?? threads[0]?.tid ?? 0, 24);
	raw.writeInt32LE(process?.ppid ?? 0, 28);
	raw.writeInt32LE(process?.pgrp ?? 0, 32);
	raw.writeInt32LE(process?.sid ?? 0, 36);
	raw.write((process?.name ?? "").slice(0, 16), 40, "latin1");
	raw.write((process?.args ?? "").slice(0, 80), 56, "latin1");
	return [own(3, raw)];
}

function auxvNote({ auxv = someAuxv }: BuiltCore): BuiltNote[] {
	if (auxv === null) return [];
	return [own(6, Buffer.concat([...auxv, [0, 0n] as const].map(([type, value]) => words(BigInt(type), value))))];
}

function fileNotes({ files, style, filePageSize, fileNote }: BuiltCore): BuiltNote[] {
	if (fileNote) return [own(0x46494c45, fileNote)];
	if (!files) return [];
	const unit = filePageSize ?? (style === "gdb" ? 1n : 4096n);
	const rows = files.map(({ start, end, offset }) => words(start, end, offset / unit));
	const names = files.flatMap(({ path }) => [typeof path === "string" ? Buffer.from(path) : path, Buffer.of(0)]);
	return [own(0x46494c45, Buffer.concat([words(BigInt(files.length), unit), ...rows, ...names]))];
}

function xsaveLayout(rows: readonly (readonly [number, number, number])[]): Buffer {
	const raw = Buffer.alloc(16 * rows.length);
	for (const [i, row] of rows.entries())
		for (const [j, value] of row.entries()) raw.writeUInt32LE(value, 16 * i + 4 * j);
	return raw;
}

function note({ owner, type, desc }: BuiltNote): Buffer {
	const name = Buffer.from(`${owner}\0`, "latin1");
	const head = Buffer.alloc(12);
	head.writeUInt32LE(name.length, 0);
	head.writeUInt32LE(desc.length, 4);
	head.writeUInt32LE(type, 8);
	return Buffer.concat([head, padded(name), padded(desc)]);
}

function elfHeader(phnum: number, shoff: number): Buffer {
	const raw = Buffer.alloc(64);
	raw.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
	raw.writeUInt16LE(4, 16);
	raw.writeUInt16LE(62, 18);
	raw.writeUInt32LE(1, 20);
	raw.writeBigUInt64LE(64n, 32);
	raw.writeBigUInt64LE(BigInt(shoff), 40);
	raw.writeUInt16LE(64, 52);
	raw.writeUInt16LE(56, 54);
	raw.writeUInt16LE(phnum, 56);
	raw.writeUInt16LE(shoff === 0 ? 0 : 64, 58);
	raw.writeUInt16LE(shoff === 0 ? 0 : 1, 60);
	return raw;
}

function programHeader(
	type: number,
	flags: number,
	offset: number,
	address: bigint,
	fileSize: number,
	memorySize: bigint,
	align: number,
): Buffer {
	const raw = Buffer.alloc(56);
	raw.writeUInt32LE(type, 0);
	raw.writeUInt32LE(flags, 4);
	raw.writeBigUInt64LE(BigInt(offset), 8);
	raw.writeBigUInt64LE(address, 16);
	raw.writeBigUInt64LE(BigInt(fileSize), 32);
	raw.writeBigUInt64LE(memorySize, 40);
	raw.writeBigUInt64LE(BigInt(align), 48);
	return raw;
}

const word = (value: bigint): Buffer => words(value);

const words = (...values: bigint[]): Buffer => {
	const raw = Buffer.alloc(8 * values.length);
	for (const [i, value] of values.entries()) raw.writeBigUInt64LE(value, 8 * i);
	return raw;
};

const padded = (bytes: Uint8Array): Buffer =>
	Buffer.concat([bytes, Buffer.alloc(roundUp(bytes.length, 4) - bytes.length)]);

const roundUp = (value: number, to: number): number => Math.ceil(value / to) * to;

function spread<T>(items: readonly T[], groups: number): T[][] {
	const size = Math.ceil(items.length / groups);
	return Array.from({ length: groups }, (_, i) => items.slice(i * size, (i + 1) * size));
}
