import type { Registers } from "../arch/architecture.ts";
import { type Address, address, fileOffset, pageCeil, pageFloor, plus } from "../bytes/address.ts";
import { i32, layout, u32, u64 } from "../bytes/layout.ts";
import { byStart, intersect } from "../bytes/range.ts";
import { textFromBytes } from "../bytes/text.ts";
import { ELF_MAGIC, type Elf64Phdr, elf64Ehdr, elf64Phdr, PT } from "../elf/file.ts";
import { AT } from "../linux/auxv.ts";
import type { Core } from "./core.ts";
import type { NotedFile } from "./files.ts";
import type { CoreMemory } from "./memory.ts";
import { initialStack } from "./stack.ts";

/** `struct r_debug` and `struct link_map` (link.h of every libc): what ld.so tells debuggers. */
const rDebug = layout("r_debug", { r_version: i32, pad: u32, r_map: u64 });
const linkMap = layout("link_map", { l_addr: u64, l_name: u64, l_ld: u64, l_next: u64, l_prev: u64 });
const dyn = layout("Elf64_Dyn", { d_tag: u64, d_val: u64 });

const [DT_NULL, DT_DEBUG] = [0n, 21n];

/** More objects, headers and tags than a process has. */
const MOST_OBJECTS = 16_384;
const MOST_HEADERS = 512;
const MOST_TAGS = 1024;

/**
 * The mapped files of a core that does not name them: it has no NT_FILE, for its writer makes none (qemu-user), or the kernel
 * dropped it as too large. The dynamic linker keeps a list of what it loaded, and program headers say what was mapped of it.
 */
export function linkedFiles(core: Core<Registers>, memory: CoreMemory): NotedFile[] {
	const program = programHeaders(core, memory);
	if (program === undefined) return [];
	const path = executablePath(core, memory);
	const rows = path === undefined ? [] : rowsOf(path, program.headers, program.bias, core);
	for (const { name, bias } of objectsOf(program, memory)) {
		const headers = headersAt(bias, memory);
		if (name.startsWith("/") && headers !== undefined) rows.push(...rowsOf(name, headers, bias, core));
	}
	rows.sort(byStart);
	return rows.filter((row, i) => (rows[i - 1]?.end ?? 0n) <= row.start);
}

interface LinkedProgram {
	readonly headers: readonly Elf64Phdr[];
	/** What was added to the addresses it was linked for. */
	readonly bias: Address;
}

function programHeaders({ auxv }: Core<Registers>, memory: CoreMemory): LinkedProgram | undefined {
	const of = (type: number): bigint | undefined => auxv.find((pair) => pair.type === type)?.value;
	const [at, count] = [of(AT.PHDR), of(AT.PHNUM)];
	if (at === undefined || count === undefined) return undefined;
	const headers = headersIn(address(at), Number(count), memory);
	const own = headers?.find(({ p_type }) => p_type === PT.PHDR);
	const first = headers?.find(({ p_type, p_offset }) => p_type === PT.LOAD && p_offset === 0n);
	if (headers === undefined) return undefined;
	if (own !== undefined) return { headers, bias: address(at - own.p_vaddr) };
	return first === undefined ? undefined : { headers, bias: address(at - BigInt(elf64Ehdr.size) - first.p_vaddr) };
}

function headersIn(at: Address, count: number, memory: CoreMemory): Elf64Phdr[] | undefined {
	if (count < 1 || count > MOST_HEADERS) return undefined;
	const bytes = memory.read(at, count * elf64Phdr.size);
	if (bytes === undefined) return undefined;
	return Array.from({ length: count }, (_, i) => elf64Phdr.decode(bytes.subarray(i * elf64Phdr.size)));
}

/** Of a library, which is linked for address 0: its headers are where its first page lies. */
function headersAt(base: Address, memory: CoreMemory): Elf64Phdr[] | undefined {
	const bytes = memory.read(base, elf64Ehdr.size);
	if (bytes === undefined || bytes.readUInt32BE(0) !== ELF_MAGIC) return undefined;
	const { e_phoff, e_phnum } = elf64Ehdr.decode(bytes);
	return headersIn(plus(base, e_phoff), e_phnum, memory);
}

function* objectsOf(
	{ headers, bias }: LinkedProgram,
	memory: CoreMemory,
): Generator<{ readonly name: string; readonly bias: Address }> {
	const dynamic = headers.find(({ p_type }) => p_type === PT.DYNAMIC);
	if (dynamic === undefined) return;
	let debug = 0n;
	for (let i = 0; i < MOST_TAGS; i++) {
		const bytes = memory.read(plus(bias, dynamic.p_vaddr + BigInt(i * dyn.size)), dyn.size);
		const tag = bytes === undefined ? undefined : dyn.decode(bytes);
		if (tag === undefined || tag.d_tag === DT_NULL) break;
		if (tag.d_tag === DT_DEBUG) debug = tag.d_val;
	}
	const head = debug === 0n ? undefined : memory.read(address(debug), rDebug.size);
	let next = head === undefined ? 0n : rDebug.decode(head).r_map;
	// the first is the program itself
	for (let i = 0; next !== 0n && i < MOST_OBJECTS; i++) {
		const bytes = memory.read(address(next), linkMap.size);
		if (bytes === undefined) return;
		const { l_addr, l_name, l_next } = linkMap.decode(bytes);
		if (i > 0) yield { name: stringAt(memory, address(l_name)), bias: address(l_addr) };
		next = l_next;
	}
}

/** What a program's segments show of its file, cut where the core's segments are. */
function rowsOf(
	path: string,
	headers: readonly Elf64Phdr[],
	bias: Address,
	{ segments }: Core<Registers>,
): NotedFile[] {
	return headers
		.filter(({ p_type, p_filesz }) => p_type === PT.LOAD && p_filesz > 0n)
		.flatMap(({ p_vaddr, p_filesz, p_offset }) => {
			const start = pageFloor(plus(bias, p_vaddr));
			const whole = { start, end: pageCeil(plus(bias, p_vaddr + p_filesz)) };
			const from = p_offset - (plus(bias, p_vaddr) - start);
			return segments.flatMap((segment): NotedFile[] => {
				const part = intersect(whole, segment);
				if (part === undefined) return [];
				return [{ ...part, offset: fileOffset(from + (part.start - start)), path, deleted: false }];
			});
		});
}

/** As execve(2) was given it; where that was a relative path, from the directory that the environment names. */
function executablePath(core: Core<Registers>, memory: CoreMemory): string | undefined {
	const stack = initialStack(core, memory);
	if (stack.kind === "unknown" || stack.execfn === undefined) return undefined;
	if (stack.execfn.startsWith("/")) return stack.execfn;
	const length = stack.envEnd - stack.envStart;
	const environment = length > 0n && length < 1n << 20n ? memory.read(stack.envStart, Number(length)) : undefined;
	const directory = textFromBytes(environment ?? Buffer.alloc(0))
		.split("\0")
		.find((variable) => variable.startsWith("PWD=/"));
	return directory === undefined ? undefined : joined(directory.slice("PWD=".length), stack.execfn);
}

/** As realpath(3) without a look at links. */
function joined(directory: string, path: string): string {
	const parts: string[] = [];
	for (const part of `${directory}/${path}`.split("/")) {
		if (part === "..") parts.pop();
		else if (part !== "" && part !== ".") parts.push(part);
	}
	return `/${parts.join("/")}`;
}

const LONGEST_PATH = 4096;

function stringAt(memory: CoreMemory, at: Address): string {
	const place = memory.locate(at);
	if (place.kind !== "core") return "";
	const bytes = memory.read(at, place.length < LONGEST_PATH ? Number(place.length) : LONGEST_PATH);
	const nul = bytes?.indexOf(0) ?? -1;
	return bytes === undefined || nul < 0 ? "" : textFromBytes(bytes.subarray(0, nul));
}
