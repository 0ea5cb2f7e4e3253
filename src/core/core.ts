import { aarch64, type UserPtRegs } from "../arch/aarch64/aarch64.ts";
import type { Architecture, Registers } from "../arch/architecture.ts";
import type { UserRegs } from "../arch/x86-64/registers.ts";
import { x86 } from "../arch/x86-64/x86-64.ts";
import type { XstateLayout } from "../arch/x86-64/xstate.ts";
import type { ByteSource } from "../bytes/source.ts";
import { aCore, type Elf64Ehdr, type Elf64Phdr, PT, readElfHeader, readProgramHeaders } from "../elf/file.ts";
import { machineName } from "../elf/machine.ts";
import { readNotes } from "../elf/notes.ts";
import { refuse } from "../errors.ts";
import type { AuxvPair } from "../linux/auxv.ts";
import type { ElfPrpsinfo } from "../linux/elf-core.ts";
import { areWithin } from "../linux/process-bounds.ts";
import type { NotedFile } from "./files.ts";
import { type CoreWriter, type Noted, noteKinds } from "./note-kinds.ts";
import { type OtherNote, type SortedNotes, sortNotes } from "./notes.ts";
import { requireWhole } from "./require-whole.ts";
import { readSegments, type Segment } from "./segments.ts";
import { type CoreThread, readThreads } from "./threads.ts";

/** A core as its headers and notes describe it. Memory stays in the file: see memory.ts. */
export interface Core<R extends Registers = UserRegs> {
	/** `e_machine` of its processor. */
	readonly machine: number;
	readonly source: ByteSource;
	readonly writer: CoreWriter;
	/** NT_PRPSINFO: its `pr_pid` is the process id; name, ids and arguments are the leader's. */
	readonly process?: ElfPrpsinfo;
	/** At least one, in the core's order: the first took the signal. The leader may be anywhere, or gone. */
	readonly threads: readonly CoreThread<R>[];
	/** The `siginfo_t` of the signal that killed, 128 bytes; of the stop that gdb attached with in its cores. */
	readonly siginfo?: Uint8Array;
	/** The auxiliary vector up to, not including, AT_NULL. */
	readonly auxv: readonly AuxvPair[];
	/** NT_FILE, by ascending address. Empty when the kernel dropped the note as too large (core_file_note_size_limit). */
	readonly files: readonly NotedFile[];
	/** PT_LOAD, by ascending address. */
	readonly segments: readonly Segment[];
	/** NT_X86_XSAVE_LAYOUT: where the processor has what in an XSAVE area. */
	readonly xsaveLayout?: XstateLayout;
	/** Notes that nothing here reads, in the core's order. */
	readonly otherNotes: readonly OtherNote[];
}

export interface ReadCoreOptions {
	/** Take a core that ends before its last segments do: each has as much as is there. Its notes have to be whole. */
	readonly truncated?: boolean;
}

/**
 * Reads an x86-64 Linux core, the kernel's or gdb's. Nothing but headers and notes is read; every count, size and offset
 * is held against the file first, and the bytes of every segment are known to be there afterwards, unless `truncated` says otherwise.
 *
 * @throws NecromancerError ERR_CORE_MAGIC, ERR_CORE_KIND, ERR_CORE_TRUNCATED, ERR_CORE_CORRUPT, ERR_NOTE_SIZE,
 *   ERR_NOTE_MISSING.
 */
export function readCore(source: ByteSource, options: ReadCoreOptions = {}): Core {
	const header = readElfHeader(source, aShownCore);
	if (header.e_machine !== x86.machine)
		refuse("ERR_CORE_KIND", {
			subject: source.name,
			finding: `is for ${machineName(header.e_machine)}`,
			expectation: `expected ${aCore.what}`,
			remedy: "look at it with `necromancer show`; here it cannot run",
		});
	return read(source, header, x86, options);
}

/**
 * Reads a Linux core of any processor whose cores are shown.
 *
 * @throws NecromancerError as {@link readCore} does.
 */
export function readAnyCore(source: ByteSource): Core | Core<UserPtRegs> {
	const header = readElfHeader(source, aShownCore);
	return header.e_machine === aarch64.machine ? read(source, header, aarch64, {}) : read(source, header, x86, {});
}

/** Whether it is an x86-64 core: others are only shown. */
export const isX8664 = (core: Core | Core<UserPtRegs>): core is Core => core.machine === x86.machine;

const aShownCore = { ...aCore, machines: [x86.machine, aarch64.machine] };

function read<R extends Registers>(
	source: ByteSource,
	header: Elf64Ehdr,
	architecture: Architecture<R>,
	{ truncated = false }: ReadCoreOptions,
): Core<R> {
	const loads: Elf64Phdr[] = [];
	const noted: Elf64Phdr[] = [];
	for (const segment of readProgramHeaders(source, header)) {
		if (segment.p_type === PT.LOAD) loads.push(segment);
		else if (segment.p_type === PT.NOTE) noted.push(segment);
	}
	requireWhole(source, truncated ? noted : [...noted, ...loads]);
	const segments = readSegments(source, loads);
	const notes = sortNotes(source, readNotes(source, noted), architecture);
	if (notes.threads.length === 0) missing(source, "no thread (NT_PRSTATUS)");
	requireTogether(source, segments.length, notes);
	const { process, auxv, files, xsaveLayout } = readProcess(source, notes, segments);
	const writer = writerOf(notes, files?.pageSize ?? 0n, noted, loads);
	const threads = readThreads(source, notes, { writer, xsaveLayout });
	const siginfo = threads[0]?.siginfo;
	return {
		machine: architecture.machine,
		source,
		writer,
		...(process && { process }),
		threads,
		...(siginfo && { siginfo }),
		auxv: soundAuxv(source, auxv),
		files: files?.files ?? [],
		segments,
		...(xsaveLayout && { xsaveLayout }),
		otherNotes: notes.others,
	};
}

/** @throws NecromancerError ERR_CORE_CORRUPT */
function requireTogether(
	{ name: subject, size }: ByteSource,
	mappings: number,
	{ threads, others }: Pick<SortedNotes<Registers>, "threads" | "others">,
): void {
	if (areWithin(size, { mappings, threads: threads.length, notes: others.length })) return;
	refuse("ERR_CORE_CORRUPT", {
		subject,
		finding: `has ${mappings} mappings, ${threads.length} threads and ${others.length} more notes in ${size} bytes`,
		expectation: "expected many of one kind at the most",
	});
}

function readProcess(
	source: ByteSource,
	{ process }: Pick<SortedNotes<Registers>, "process">,
	segments: readonly Segment[],
): Noted<"process"> {
	const values: Record<string, unknown> = {};
	for (const [name, kind] of Object.entries(noteKinds)) {
		const note = process.get(name);
		if (note === undefined || kind.scope !== "process") continue;
		values[name] = kind.decode(note.read(), { source, at: note.offset, segments });
	}
	return values;
}

function soundAuxv(source: ByteSource, pairs: readonly AuxvPair[] | undefined): readonly AuxvPair[] {
	if (pairs === undefined) return missing(source, "no auxiliary vector (NT_AUXV)");
	const strange = pairs.find(({ type }) => type > 0xffff_ffff);
	if (strange !== undefined)
		refuse("ERR_CORE_CORRUPT", {
			subject: source.name,
			finding: `auxiliary vector has type ${strange.type}`,
			expectation: "expected one of 32 bits",
		});
	return pairs;
}

/**
 * gdb counts NT_FILE offsets in bytes (a "page size" of 1), says so with a target description since 12, and puts the notes
 * behind the memory; the kernel does none of these.
 */
function writerOf(
	{ fromGdb }: Pick<SortedNotes<Registers>, "fromGdb">,
	pageSize: bigint,
	noted: readonly Elf64Phdr[],
	loads: readonly Elf64Phdr[],
): CoreWriter {
	const notesLast = noted.some((note) => loads.some((load) => load.p_filesz > 0n && load.p_offset < note.p_offset));
	return fromGdb || pageSize === 1n || notesLast ? "gdb" : "kernel";
}

const missing = (source: ByteSource, what: string): never =>
	refuse("ERR_NOTE_MISSING", {
		subject: source.name,
		finding: `has ${what}`,
		expectation: "expected a core as Linux or gdb writes it",
		remedy: "give the core itself, not one that a tool has reduced",
	});
