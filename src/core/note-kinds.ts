import type { Architecture, Registers } from "../arch/architecture.ts";
import { elfPrstatus, fxregs } from "../arch/x86-64/notes.ts";
import { x86 } from "../arch/x86-64/x86-64.ts";
import {
	guessXstateLayout,
	readXstate,
	writeXstate,
	type XstateLayout,
	xstateLayoutFromNote,
} from "../arch/x86-64/xstate.ts";
import { writeXstateLayout } from "../arch/x86-64/xstate-layout.ts";
import type { FileOffset } from "../bytes/address.ts";
import type { Layout } from "../bytes/layout.ts";
import type { ByteSource } from "../bytes/source.ts";
import { writeAuxv } from "../linux/auxv.ts";
import { auxvPair, elfPrpsinfo, NT } from "../linux/elf-core.ts";
import { SIGINFO_SIZE } from "../linux/siginfo.ts";
import { type FileNote, readFileNote, writeFileNote } from "./files.ts";
import { auxvFrom } from "./garbled-auxv.ts";
import type { Segment } from "./segments.ts";

/** Who wrote a core. gdb's (gcore, generate-core-file) leave things out and lay XSAVE areas out their own way. */
export type CoreWriter = "kernel" | "gdb";

/** Bytes that a note's content may have. */
export type NoteSize =
	| { readonly exactly: number }
	| {
			/** `coreSize` is that of the whole file. */
			readonly atMost: number | ((coreSize: bigint) => number);
			readonly multipleOf?: number;
	  };

/** What a note is read by, besides its own bytes. */
interface ReadBy {
	readonly process: {
		readonly source: ByteSource;
		/** Where in it the content lies. */
		readonly at: FileOffset;
		readonly segments: readonly Segment[];
	};
	readonly thread: {
		/** The core and the thread. */
		readonly subject: string;
		readonly writer: CoreWriter;
		/** What NT_X86_XSAVE_LAYOUT says: kernels >= 6.12. */
		readonly xsaveLayout: XstateLayout | undefined;
	};
}

/** Whether a core has one such note, or one for each of its threads, which follow the thread's NT_PRSTATUS. */
export type NoteScope = keyof ReadBy;

/** What a note is before its content is read. */
export interface KnownNote {
	readonly owner: string;
	/** NT_ number (include/uapi/linux/elf.h). */
	readonly type: number;
	/** For messages. */
	readonly title: string;
	readonly size: NoteSize;
	readonly scope: NoteScope;
}

interface NoteKind<Scope extends NoteScope, T> extends KnownNote {
	readonly scope: Scope;
	/** Only cores of this processor have it, by `e_machine`. */
	readonly machine?: number;
	/** It comes behind those of all threads. */
	readonly last?: true;
	decode(bytes: Buffer, by: ReadBy[Scope]): T;
	/** @param areas Where components lie in the XSAVE areas of the core. */
	encode(value: T, areas: XstateLayout): Uint8Array;
}

type Row<T> = Omit<NoteKind<NoteScope, T>, "scope" | "decode"> & { decode(bytes: Buffer): T };

const ofProcess = <T>(row: Omit<NoteKind<"process", T>, "scope">): NoteKind<"process", T> => ({
	...row,
	scope: "process",
});
const ofThread = <T>(row: Omit<NoteKind<"thread", T>, "scope">): NoteKind<"thread", T> => ({ ...row, scope: "thread" });

/** A structure of the kernel's. */
const structure = <F>(type: number, layout: Layout<F>): Row<ReturnType<Layout<F>["decode"]>> => ({
	...{ owner: "CORE", type, title: layout.name, size: { exactly: layout.size } },
	decode: layout.decode,
	encode: layout.encode,
});

/** Bytes that are looked at elsewhere. */
const raw = (type: number, title: string, size: number): Row<Uint8Array> => ({
	...{ owner: "CORE", type, title, size: { exactly: size } },
	decode: (bytes) => new Uint8Array(bytes),
	encode: (bytes) => bytes,
});

/** One number of 64 bits. */
const word = (type: number, title: string): Row<bigint> => ({
	...{ owner: "LINUX", type, title, size: { exactly: 8 } },
	decode: (bytes) => bytes.readBigUInt64LE(0),
	encode: (value) => new Uint8Array(BigUint64Array.of(value).buffer),
});

/** The most that is read of contents whose size varies; the kernel's are smaller. */
const MOST = 65_536;

/**
 * NT_FILE in a core of `size` bytes. The kernel's own limit is 4 MiB, and can be set to 16 (fs/binfmt_elf.c,
 * CORE_FILE_NOTE_SIZE_DEFAULT and _MAX); gdb has none, and writes the same rows.
 */
const mostFileNote = (size: bigint): number => Math.min(16 << 20, Math.max(4 << 20, Number(size / 16n)));

/** XCR0, the components that an area can hold, in the bytes that the hardware leaves to software. */
const XCR0_AT = 464;

/**
 * The notes of a core, each declared here and nowhere else: a row is what reader, writer, sizes and the fields of `Core` and
 * `CoreThread` follow from. In the kernel's order (fs/binfmt_elf.c, fill_note_info), the process's among those of the thread
 * that took the signal; gdb begins with NT_PRPSINFO and ends with NT_AUXV and NT_FILE.
 */
export const noteKinds = {
	/** NT_PRSTATUS: id, registers and signal mask. gdb's cores have no signal masks, parents or sessions: they are 0 there. */
	status: ofThread(structure(NT.PRSTATUS, elfPrstatus)),
	/** NT_PRPSINFO: its `pr_pid` is the process id; name, ids and arguments are the leader's. */
	process: ofProcess(structure(NT.PRPSINFO, elfPrpsinfo)),
	/** NT_SIGINFO, 128 bytes: only of the thread that took the signal in kernel cores, of every thread in gdb's. */
	siginfo: ofThread(raw(NT.SIGINFO, "siginfo", SIGINFO_SIZE)),
	/** The auxiliary vector up to, not including, AT_NULL. */
	auxv: ofProcess({
		...{ owner: "CORE", type: NT.AUXV, title: "auxiliary vector" },
		size: { atMost: MOST, multipleOf: auxvPair.size },
		decode: (bytes, { segments }) => auxvFrom(bytes, segments),
		encode: writeAuxv,
	}),
	/** NT_FILE. Absent when the kernel dropped the note as too large (core_file_note_size_limit). */
	files: ofProcess<FileNote>({
		...{ owner: "CORE", type: NT.FILE, title: "NT_FILE" },
		size: { atMost: mostFileNote },
		decode: (bytes, { source, at }) => readFileNote(bytes, source.name, at, source.size),
		encode: writeFileNote,
	}),
	/** NT_FPREGSET: x87 and SSE registers, 512 bytes. */
	fx: ofThread({ ...raw(NT.FPREGSET, "floating-point registers", fxregs.size), machine: x86.machine }),
	/** NT_X86_XSTATE, by components. */
	xstate: ofThread({
		...{ owner: "LINUX", type: NT.X86_XSTATE, title: "XSAVE area", machine: x86.machine },
		size: { atMost: MOST },
		decode: (bytes, { subject, writer, xsaveLayout }) => {
			const xcr0 = bytes.length < XCR0_AT + 8 ? 0n : bytes.readBigUInt64LE(XCR0_AT);
			return readXstate(bytes, xsaveLayout ?? guessXstateLayout(bytes.length, xcr0, writer, subject), subject);
		},
		encode: writeXstate,
	}),
	/** NT_X86_SHSTK: the user shadow stack pointer. */
	shadowStack: ofThread({ ...word(NT.X86_SHSTK, "shadow stack pointer"), machine: x86.machine }),
	/** NT_X86_XSAVE_LAYOUT: where the processor has what in an XSAVE area. */
	xsaveLayout: ofProcess({
		...{ owner: "LINUX", type: NT.X86_XSAVE_LAYOUT, title: "XSAVE layout", machine: x86.machine, last: true },
		size: { atMost: MOST },
		decode: (bytes, { source }) => xstateLayoutFromNote(bytes, source.name),
		encode: writeXstateLayout,
	}),
} as const;

type Kinds = typeof noteKinds;

/** What the notes of one scope say, each by the name of its row. */
export type Noted<Scope extends NoteScope> = {
	readonly [K in keyof Kinds as Kinds[K]["scope"] extends Scope ? K : never]?: ReturnType<Kinds[K]["decode"]>;
};

/** By owner and type; what is the processor's own and only shown has that for a name too. */
export function knownNotes<R extends Registers>({
	machine,
	prstatus,
	threadNotes,
}: Architecture<R>): ReadonlyMap<string, KnownNote & { readonly name: string }> {
	const shared = Object.entries<KnownNote & { readonly machine?: number }>(noteKinds)
		.filter(([, kind]) => kind.machine === undefined || kind.machine === machine)
		.map(([name, kind]) => ({
			...{ ...kind, name },
			...(name === "status" ? { title: prstatus.name, size: { exactly: prstatus.size } } : {}),
		}));
	const own = threadNotes.map((note) => ({ ...note, scope: "thread" as const, name: noteId(note) }));
	return new Map([...shared, ...own].map((note) => [noteId(note), note]));
}

export const noteId = ({ owner, type }: { readonly owner: string; readonly type: number }): string =>
	`${owner}/${type}`;
