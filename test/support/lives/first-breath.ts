import { execFileSync } from "node:child_process";
import { closeSync, openSync, readFileSync, readSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import type { BuiltDonor, BuiltFileEntry, BuiltVma } from "../builders/donor-builder.ts";
import { present } from "../present.ts";

/*
 * Images of a process that nobody ever ran: a static program as execve(2) leaves it, one instruction before its first.
 * Nothing here comes from src/; the layout is that of fs/binfmt_elf.c and of the System V ABI for AMD64, 3.4.1.
 */

const PAGE = 4096n;
const pageDown = (at: bigint): bigint => at & ~(PAGE - 1n);
const pageUp = (at: bigint): bigint => pageDown(at + PAGE - 1n);

export interface FirstBreath {
	readonly program: string;
	/** After the name of the program. */
	readonly args: readonly string[];
	readonly vdso: Vdso;
	readonly pid?: number;
	readonly files?: readonly BuiltFileEntry[];
	readonly descriptors?: BuiltDonor["descriptors"];
	readonly memfds?: BuiltDonor["memfds"];
	readonly vmas?: readonly BuiltVma[];
	readonly extra?: BuiltDonor["extra"];
	readonly oomScoreAdjust?: number;
	readonly subreaper?: boolean;
	readonly hugePagesDisabled?: boolean;
}

export interface Vdso {
	readonly image: Buffer;
	/** Bytes of clocks in front of it. */
	readonly clocks: bigint;
}

/** Where the vdso of such a process is. */
export const VDSO_AT = 0x7fff_e000_6000n;
const STACK_END = 0x7fff_8000_0000n;
const STACK_PAGES = 33n;

/** 1 is the working directory; the program, and from which on others may be used. */
const EXE = 2;
export const FIRST_FILE = 10;

/** Compiles first-breath.c. */
export function compileFirstBreath(directory: string): string {
	const program = join(directory, "first-breath");
	const source = resolve(import.meta.dirname, "first-breath.c");
	execFileSync("gcc", ["-w", "-static", "-no-pie", "-O1", "-o", program, source]);
	return program;
}

/** This kernel's vdso. */
export function vdsoHere(): Vdso {
	const lines = readFileSync("/proc/self/maps", "utf8").split("\n");
	const rangeOf = (line: string): [bigint, bigint] => {
		const [, start = "", end = ""] = present(/^(\w+)-(\w+) /.exec(line));
		return [BigInt(`0x${start}`), BigInt(`0x${end}`)];
	};
	const [start, end] = rangeOf(present(lines.find((line) => line.endsWith("[vdso]"))));
	const [clocks] = rangeOf(present(lines.find((line) => line.endsWith("[vvar]"))));
	return { image: memoryHere(start, Number(end - start)), clocks: start - clocks };
}

function memoryHere(at: bigint, length: number): Buffer {
	const fd = openSync("/proc/self/mem", "r");
	try {
		const bytes = Buffer.alloc(length);
		if (readSync(fd, bytes, 0, length, at) !== length) throw new Error("a vdso of less memory than its mapping");
		return bytes;
	} finally {
		closeSync(fd);
	}
}

export interface VdsoSymbol {
	readonly name: string;
	/** Where in the image its record is. */
	readonly at: number;
	readonly value: number;
	readonly size: number;
}

/** The functions in a vdso's section .dynsym. */
export function vdsoSymbols(image: Buffer): VdsoSymbol[] {
	const sections = Number(image.readBigUInt64LE(0x28));
	const section = (i: number) => {
		const at = sections + 64 * i;
		const [offset, size] = [24, 32].map((field) => Number(image.readBigUInt64LE(at + field)));
		return {
			type: image.readUInt32LE(at + 4),
			link: image.readUInt32LE(at + 40),
			offset: offset ?? 0,
			size: size ?? 0,
		};
	};
	const all = Array.from({ length: image.readUInt16LE(0x3c) }, (_, i) => section(i));
	const table = present(all.find(({ type }) => type === 11));
	const names = present(all[table.link]);
	return Array.from({ length: table.size / 24 }, (_, i) => table.offset + 24 * i)
		.filter((at) => (image.readUInt8(at + 4) & 15) === 2 && image.readUInt16LE(at + 6) !== 0)
		.map((at) => {
			const name = names.offset + image.readUInt32LE(at);
			return {
				...{ name: image.toString("latin1", name, image.indexOf(0, name)), at },
				...{ value: Number(image.readBigUInt64LE(at + 8)), size: Number(image.readBigUInt64LE(at + 16)) },
			};
		});
}

/** The vdso as another build would have it: functions a little further on, and whoever enters one of them there dies. */
export function otherVdso({ image, clocks }: Vdso): Vdso {
	const other = Buffer.from(image);
	const BREAKPOINT = 0xcc;
	for (const { value, size } of vdsoSymbols(image)) other.fill(BREAKPOINT, value, value + size);
	for (const { at, value, size } of vdsoSymbols(image)) {
		other.writeBigUInt64LE(BigInt(value + 8), at + 8);
		other.writeBigUInt64LE(BigInt(size - 8), at + 16);
	}
	return { image: other, clocks };
}

export function firstBreath(breath: FirstBreath): BuiltDonor {
	const { program, vdso, pid = 300, files = [] } = breath;
	const elf = readFileSync(program);
	const loaded = load(elf);
	const { stack, sp, ...strings } = stackOf(breath, elf, loaded.header);
	const end = loaded.vmas.reduce((last, vma) => (vma.end > last ? vma.end : last), 0n);
	const { size, mode } = statSync(program);
	return {
		...{
			pid,
			comm: "first-breath",
			exe: EXE,
			threads: [{ tid: pid, registers: registersAt(elf.readBigUInt64LE(24), sp) }],
		},
		vmas: [
			...loaded.vmas,
			...(breath.vmas ?? []),
			{ start: STACK_END - STACK_PAGES * PAGE, end: STACK_END, prot: 3, flags: 0x122, status: 0x201 },
			{ start: VDSO_AT - vdso.clocks, end: VDSO_AT, prot: 1, flags: 0x22, status: 0x1201 },
			{ start: VDSO_AT, end: VDSO_AT + BigInt(vdso.image.length), prot: 5, flags: 0x22, status: 0x209 },
		].sort((a, b) => (a.start < b.start ? -1 : 1)),
		bounds: [...loaded.bounds, sp, end, end, strings.argStart, strings.argEnd, strings.argEnd, strings.argEnd],
		files: [{ id: 1, name: "/" }, { id: EXE, name: program, size, mode }, ...files],
		...(breath.descriptors === undefined ? {} : { descriptors: breath.descriptors }),
		...(breath.memfds === undefined ? {} : { memfds: breath.memfds }),
		...(breath.extra === undefined ? {} : { extra: breath.extra }),
		...(breath.oomScoreAdjust === undefined ? {} : { oomScoreAdjust: breath.oomScoreAdjust }),
		...(breath.subreaper === undefined ? {} : { subreaper: breath.subreaper }),
		...(breath.hugePagesDisabled === undefined ? {} : { hugePagesDisabled: breath.hugePagesDisabled }),
		limit: (1n << 64n) - 1n,
		pages: [...loaded.pages, [STACK_END - PAGE, stack] as const, ...pagesOf(VDSO_AT, vdso.image)],
	};
}

const pagesOf = (at: bigint, bytes: Buffer): [bigint, Buffer][] =>
	Array.from({ length: bytes.length / 4096 }, (_, i) => [
		at + BigInt(i * 4096),
		bytes.subarray(i * 4096, (i + 1) * 4096),
	]);

/** Field numbers of user_x86_regs_entry. */
const registersAt = (ip: bigint, sp: bigint): Record<number, bigint> => ({
	...{ 17: ip, 18: 0x33n, 19: 0x202n, 20: sp, 21: 0x2bn, 16: (1n << 64n) - 1n },
});

function load(elf: Buffer) {
	const [at, count] = [Number(elf.readBigUInt64LE(32)), elf.readUInt16LE(56)];
	const vmas: BuiltVma[] = [];
	const pages: [bigint, Buffer][] = [];
	let header = 0n;
	let [startCode, endCode, startData, endData] = [0n, 0n, 0n, 0n];
	for (let i = 0; i < count; i++) {
		const from = at + 56 * i;
		if (elf.readUInt32LE(from) !== 1) continue;
		const flags = elf.readUInt32LE(from + 4);
		const [offset = 0n, address = 0n, , held = 0n, size = 0n] = [8, 16, 24, 32, 40].map((field) =>
			elf.readBigUInt64LE(from + field),
		);
		const prot = ((flags & 4) >> 2) | (flags & 2) | ((flags & 1) << 2);
		const [start, middle, end] = [pageDown(address), pageUp(address + held), pageUp(address + size)];
		if (offset === 0n) header = address;
		if ((flags & 1) !== 0) [startCode, endCode] = [address, address + held];
		else if ((flags & 2) !== 0) [startData, endData] = [address, address + held];
		vmas.push({ start, end: middle, prot, flags: 2, status: 0x41, shmid: EXE, pgoff: pageDown(offset), fdflags: 0 });
		if (end > middle) vmas.push({ start: middle, end, prot, flags: 0x22, status: 0x201 });
		if (size === held) continue;
		// what follows the program's data on its last page is not the file's
		const last = Buffer.alloc(4096);
		elf.copy(last, 0, Number(pageDown(offset + held)), Number(offset + held));
		pages.push([middle - PAGE, last]);
	}
	return { vmas, pages, header: header + BigInt(at), bounds: [startCode, endCode, startData, endData] };
}

/** The page on which a program finds its arguments and what the kernel has to tell it. */
function stackOf({ program, args }: FirstBreath, elf: Buffer, header: bigint) {
	const stack = Buffer.alloc(4096);
	const at = (offset: number): bigint => STACK_END - PAGE + BigInt(offset);
	const random = 4096 - 32;
	const strings = Buffer.from([program, ...args].map((arg) => `${arg}\0`).join(""));
	const first = random - strings.length;
	strings.copy(stack, first);
	const places: bigint[] = [];
	for (let from = 0; from < strings.length; from = strings.indexOf(0, from) + 1) places.push(at(first + from));
	const auxv = [
		...[33n, VDSO_AT, 6n, PAGE, 3n, header, 4n, 56n, 5n, BigInt(elf.readUInt16LE(56)), 7n, 0n, 8n, 0n],
		...[9n, elf.readBigUInt64LE(24), 11n, 0n, 12n, 0n, 13n, 0n, 14n, 0n, 17n, 100n, 23n, 0n, 25n, at(random)],
		...[31n, at(first), 0n, 0n],
	];
	const words = [BigInt(places.length), ...places, 0n, 0n, ...auxv];
	const from = (first - words.length * 8) & ~15;
	for (const [i, word] of words.entries()) stack.writeBigUInt64LE(word, from + i * 8);
	return { stack, sp: at(from), argStart: at(first), argEnd: at(random) };
}
