import type { Architecture, Prstatus, Registers } from "../arch/architecture.ts";
import { type FileOffset, hex } from "../bytes/address.ts";
import type { ByteSource } from "../bytes/source.ts";
import type { Note } from "../elf/notes.ts";
import { refuse } from "../errors.ts";
import { type ElfPrpsinfo, elfPrpsinfo, NT } from "../linux/elf-core.ts";
import { atMost as boundedBy, mostThreads } from "../linux/process-bounds.ts";
import { SIGINFO_SIZE } from "../linux/siginfo.ts";

/** A note this program has no use for. */
export interface OtherNote {
	readonly owner: string;
	readonly type: number;
	/** Bytes of content. */
	readonly size: number;
}

/** The notes of one thread: its NT_PRSTATUS and what follows up to the next. */
export interface ThreadNotes<R extends Registers> {
	readonly status: Prstatus<R>;
	readonly at: FileOffset;
	fpregset?: Note;
	siginfo?: Note;
	/** What its processor has besides ({@link Architecture.threadNotes}), by type. */
	readonly own: Map<number, Note>;
}

/** All notes of a core, sorted by whom they tell about. */
export interface SortedNotes<R extends Registers> {
	readonly threads: readonly ThreadNotes<R>[];
	readonly process?: ElfPrpsinfo;
	readonly auxv?: Note;
	readonly files?: Note;
	readonly xsaveLayout?: Note;
	readonly others: readonly OtherNote[];
	/** gdb left its target description. */
	readonly fromGdb: boolean;
}

/** The largest contents that are read whole. */
const most = { auxv: 65_536, xsaveLayout: 65_536 } as const;

/**
 * The same of NT_FILE in a core of `size` bytes. The kernel's own limit is 4 MiB, and can be set to 16 (fs/binfmt_elf.c,
 * CORE_FILE_NOTE_SIZE_DEFAULT and _MAX); gdb has none, and writes the same rows.
 */
const mostFileNote = (size: bigint): number => Math.min(16 << 20, Math.max(4 << 20, Number(size / 16n)));

/**
 * Sorts a core's notes and holds their sizes against the kernel's structures. Kernel order is PRSTATUS, PRPSINFO, SIGINFO,
 * AUXV, FILE, FPREGSET, XSTATE, then three per further thread; gdb begins with PRPSINFO and ends with AUXV, FILE.
 *
 * @throws NecromancerError ERR_NOTE_SIZE, ERR_CORE_CORRUPT (a note twice, one of a thread before any thread, or more
 *   threads than {@link mostThreads} says).
 */
export function sortNotes<R extends Registers>(
	source: ByteSource,
	notes: Iterable<Note>,
	{ prstatus, fpregset, threadNotes }: Architecture<R>,
): SortedNotes<R> {
	const subject = source.name;
	const threads: ThreadNotes<R>[] = [];
	const others: OtherNote[] = [];
	const whole: { process?: ElfPrpsinfo; auxv?: Note; files?: Note; xsaveLayout?: Note } = {};
	const mostHere = mostThreads(source.size);
	let fromGdb = false;
	const twice = (note: Note, name: string): never =>
		refuse("ERR_CORE_CORRUPT", {
			subject,
			finding: `has a second ${name} at ${hex(note.offset)}`,
			expectation: "expected one",
		});
	const ofThread = (note: Note, name: string, key: "fpregset" | "siginfo" | "own"): void => {
		const orphan = (): never =>
			refuse("ERR_CORE_CORRUPT", {
				subject,
				finding: `${name} at ${hex(note.offset)} precedes every elf_prstatus`,
				expectation: "expected it to follow its thread's",
			});
		const thread = threads.at(-1) ?? orphan();
		const known = key === "own" ? thread.own.get(note.type) : thread[key];
		if (known !== undefined) twice(note, `${name} of thread ${thread.status.pr_pid}`);
		if (key === "own") thread.own.set(note.type, note);
		else thread[key] = note;
	};
	const ofProcess = (note: Note, name: string, key: "auxv" | "files" | "xsaveLayout"): void => {
		if (whole[key] !== undefined) twice(note, name);
		whole[key] = note;
	};
	for (const note of notes) {
		const exactly = (name: string, size: number): void => {
			if (note.size !== size) wrongSize(subject, note, name, `${size}`);
		};
		const atMost = (name: string, size: number): void => {
			if (note.size > size) wrongSize(subject, note, name, `at most ${size}`);
		};
		switch (`${note.owner}/${note.type}`) {
			case `CORE/${NT.PRSTATUS}`:
				exactly(prstatus.name, prstatus.size);
				if (threads.length === mostHere) tooMany(source, mostHere);
				threads.push({ status: prstatus.decode(note.read()), at: note.offset, own: new Map() });
				break;
			case `CORE/${NT.PRPSINFO}`:
				exactly(elfPrpsinfo.name, elfPrpsinfo.size);
				if (whole.process !== undefined) twice(note, elfPrpsinfo.name);
				whole.process = elfPrpsinfo.decode(note.read());
				break;
			case `CORE/${NT.SIGINFO}`:
				exactly("siginfo", SIGINFO_SIZE);
				ofThread(note, "siginfo", "siginfo");
				break;
			case `CORE/${NT.FPREGSET}`:
				exactly("floating-point registers", fpregset);
				ofThread(note, "floating-point registers", "fpregset");
				break;
			case `CORE/${NT.AUXV}`:
				atMost("auxiliary vector", most.auxv);
				if (note.size % 16 !== 0) wrongSize(subject, note, "auxiliary vector", "a multiple of 16");
				ofProcess(note, "auxiliary vector", "auxv");
				break;
			case `CORE/${NT.FILE}`:
				atMost("NT_FILE", mostFileNote(source.size));
				ofProcess(note, "NT_FILE", "files");
				break;
			case `LINUX/${NT.X86_XSAVE_LAYOUT}`:
				atMost("XSAVE layout", most.xsaveLayout);
				ofProcess(note, "XSAVE layout", "xsaveLayout");
				break;
			default: {
				const own = note.owner === "LINUX" ? threadNotes.get(note.type) : undefined;
				if (own !== undefined) {
					if ("exactly" in own.size) exactly(own.title, own.size.exactly);
					else atMost(own.title, own.size.atMost);
					ofThread(note, own.title, "own");
					break;
				}
				fromGdb ||= note.owner === "GDB";
				others.push({ owner: note.owner, type: note.type, size: note.size });
			}
		}
	}
	return { threads, others, fromGdb, ...whole };
}

const tooMany = ({ name: subject, size }: ByteSource, most: number): never =>
	refuse("ERR_CORE_CORRUPT", { subject, finding: `has more than ${most} threads`, expectation: boundedBy(most, size) });

const wrongSize = (subject: string, note: Note, name: string, expected: string): never =>
	refuse("ERR_NOTE_SIZE", {
		subject,
		finding: `${name} at ${hex(note.offset)} is ${note.size} bytes`,
		expectation: `expected ${expected}`,
	});
