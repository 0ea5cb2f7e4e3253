// Writes src/blob/generated/blob.ts: the machine code of src/blob, so that users need no compiler. Run by
// `npm run generate`; tests compare the digest of the sources and, where the same gcc is, the bytes.
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const folder = new URL("../src/blob/", import.meta.url);
export const blobFile = new URL("generated/blob.ts", folder);

export const readBlobSources = () =>
	["blob.c", "blob.h", "blob.ld", "entry.S"].map((name) => ({
		name,
		text: readFileSync(new URL(name, folder), "utf8"),
	}));

export const digestOfBlob = (sources) => {
	const hash = createHash("sha256");
	for (const { name, text } of sources) hash.update(`${name}\0${text}\0`);
	return hash.digest("hex");
};

/** `gcc 12.2.0`, or undefined where there is none. */
export const compilerName = () => {
	try {
		return `gcc ${execFileSync("gcc", ["-dumpfullversion"], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).trim()}`;
	} catch {
		return undefined;
	}
};

/*
 * Code that runs wherever it is put, with no libc, and before and after the vector registers are those of somebody else. No
 * endbr64 (-fcf-protection=none): nobody reaches it by an indirect jump.
 */
const compile = `-c -Os -std=gnu11 -Wall -Wextra -Werror -ffreestanding -fpie -fno-builtin -fno-stack-protector
	-fno-asynchronous-unwind-tables -fcf-protection=none -mno-sse -mno-mmx -mno-80387
	-fno-jump-tables`.split(/\s+/);
const link = ["-static", "-nostdlib", "--no-warn-rwx-segments", "--fatal-warnings"];

const wantedSymbols = ["agent", "child_entry", "syscall_insn"];
const MAX_SIZE = 2048;
/** Anywhere else than 0. */
const ELSEWHERE = 0x5a5_0000;

/** Compiles sources into `{ bytes, symbols }`. Throws an Error that says what the result may not contain. */
export const buildBlob = (sources) => {
	const at = mkdtempSync(join(tmpdir(), "necromancer-blob-"));
	try {
		for (const { name, text } of sources) writeFileSync(join(at, name), text);
		const run = (tool, args) => execFileSync(tool, args, { cwd: at, stdio: ["ignore", "inherit", "inherit"] });
		run("gcc", [...compile, "-o", "blob.o", "blob.c"]);
		run("gcc", [...compile, "-o", "entry.o", "entry.S"]);
		const linked = (name, options) => {
			run("ld", [...link, ...options, "-T", "blob.ld", "-o", name, "entry.o", "blob.o"]);
			return contentOf(readFileSync(join(at, name)));
		};
		const here = linked("blob", []);
		const elsewhere = linked("elsewhere", [`--defsym=BASE=${ELSEWHERE}`]);
		if (!here.bytes.equals(elsewhere.bytes)) throw new Error("blob: an absolute address is in it");
		return here;
	} finally {
		rmSync(at, { recursive: true, force: true });
	}
};

const SHT = { SYMTAB: 2, RELA: 4, DYNAMIC: 6, NOBITS: 8, REL: 9 };
const SHF = { WRITE: 1n, ALLOC: 2n };

/** The one section that a linked blob may occupy memory with, and the symbols in it (elf(5)). */
export const contentOf = (elf) => {
	const sections = sectionsOf(elf);
	const refuse = (what) => {
		throw new Error(`blob: ${what}`);
	};
	for (const { name, type, flags, size } of sections) {
		if ([SHT.RELA, SHT.REL, SHT.DYNAMIC].includes(type)) refuse(`${name} holds relocations`);
		if ((flags & SHF.ALLOC) === 0n || size === 0) continue;
		if ((flags & SHF.WRITE) !== 0n) refuse(`${name} is writable`);
		if (type === SHT.NOBITS) refuse(`${name} has no bytes in the file`);
		if (name !== ".text") refuse(`${name} is a section of its own`);
	}
	const text = sections.find(({ name }) => name === ".text") ?? refuse("no .text");
	if (text.size > MAX_SIZE) refuse(`${text.size} bytes, more than ${MAX_SIZE}`);
	const known = symbolsOf(elf, sections);
	const symbols = Object.fromEntries(
		wantedSymbols.map((name) => [name, (known.get(name) ?? refuse(`no symbol ${name}`)) - text.address]),
	);
	const bytes = Buffer.from(elf.subarray(text.offset, text.offset + text.size));
	if (bytes.readUInt16BE(symbols.syscall_insn) !== 0x0f05) refuse("syscall_insn is not a system call instruction");
	return { bytes, symbols };
};

const word = (elf, at) => Number(elf.readBigUInt64LE(at));

const textAt = (elf, at) => elf.toString("latin1", at, elf.indexOf(0, at));

const sectionsOf = (elf) => {
	const headers = Array.from({ length: elf.readUInt16LE(60) }, (_, i) => word(elf, 40) + 64 * i);
	const names = word(elf, (headers[elf.readUInt16LE(62)] ?? 0) + 24);
	return headers.map((at) => ({
		name: textAt(elf, names + elf.readUInt32LE(at)),
		type: elf.readUInt32LE(at + 4),
		flags: elf.readBigUInt64LE(at + 8),
		address: word(elf, at + 16),
		offset: word(elf, at + 24),
		size: word(elf, at + 32),
		link: elf.readUInt32LE(at + 40),
	}));
};

const symbolsOf = (elf, sections) => {
	const table = sections.find(({ type }) => type === SHT.SYMTAB);
	if (table === undefined) return new Map();
	const names = sections[table.link].offset;
	return new Map(
		Array.from({ length: table.size / 24 }, (_, i) => table.offset + 24 * i).map((at) => [
			textAt(elf, names + elf.readUInt32LE(at)),
			word(elf, at + 8),
		]),
	);
};

/** The text of src/blob/generated/blob.ts. */
export const blobModule = (sources, { bytes, symbols }, compiler) =>
	[
		"// Generated by scripts/generate-blob.mjs from src/blob/{entry.S,blob.c,blob.h,blob.ld}. Do not edit: run",
		`// \`npm run generate\`. ${bytes.length} bytes of code, position-independent, no relocation.`,
		"",
		"/** sha256 of the sources, so that a test notices when this file is stale. */",
		`export const digest = "${digestOfBlob(sources)}";`,
		"",
		"/** What made it: another may order the same instructions otherwise. */",
		`export const compiler = "${compiler}";`,
		"",
		"/** Bytes. */",
		`export const size = ${bytes.length};`,
		"",
		"/** Offsets of the entry, of where a spawned task begins, and of a system call instruction that a `ret` follows. */",
		`export const symbols = { ${Object.entries(symbols)
			.map(([name, at]) => `${name}: ${at}`)
			.join(", ")} } as const;`,
		"",
		"/** Machine code of x86-64, base64. */",
		"export const code =",
		`${(bytes.toString("base64").match(/.{1,108}/g) ?? []).map((line) => `\t"${line}"`).join(" +\n")};`,
		"",
	].join("\n");

if (process.argv[1] === fileURLToPath(import.meta.url)) {
	const sources = readBlobSources();
	const blob = buildBlob(sources);
	writeFileSync(blobFile, blobModule(sources, blob, compilerName()));
	console.log(`${fileURLToPath(blobFile)}: ${blob.bytes.length} bytes`);
}
