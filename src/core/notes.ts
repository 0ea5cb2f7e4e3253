import type { Architecture, Prstatus, Registers } from "../arch/architecture.ts";
import { type FileOffset, hex } from "../bytes/address.ts";
import type { ByteSource } from "../bytes/source.ts";
import type { Note } from "../elf/notes.ts";
import { refuse } from "../errors.ts";
import { atMost as boundedBy, mostThreads } from "../linux/process-bounds.ts";
import { type KnownNote, knownNotes, noteId, noteKinds } from "./note-kinds.ts";

/** A note this program has no use for. */
export interface OtherNote {
	readonly owner: string;
	readonly type: number;
	/** Bytes of content. */
	readonly size: number;
}

/** Notes by the names of their rows in {@link noteKinds}; by `OWNER/type` where they are only shown. */
export type NamedNotes = ReadonlyMap<string, Note>;

/** The notes of one thread: its NT_PRSTATUS and what follows up to the next. */
export interface ThreadNotes<R extends Registers> {
	readonly status: Prstatus<R>;
	readonly at: FileOffset;
	readonly notes: NamedNotes;
}

/** All notes of a core, sorted by whom they tell about. */
export interface SortedNotes<R extends Registers> {
	readonly threads: readonly ThreadNotes<R>[];
	readonly process: NamedNotes;
	readonly others: readonly OtherNote[];
	/** gdb left its target description. */
	readonly fromGdb: boolean;
}

/**
 * Sorts a core's notes and holds their sizes against their rows in {@link noteKinds}.
 *
 * @throws NecromancerError ERR_NOTE_SIZE, ERR_CORE_CORRUPT (a note twice, one of a thread before any thread, or more
 *   threads than {@link mostThreads} says).
 */
export function sortNotes<R extends Registers>(
	source: ByteSource,
	notes: Iterable<Note>,
	architecture: Architecture<R>,
): SortedNotes<R> {
	const known = knownNotes(architecture);
	const begins = noteId(noteKinds.status);
	const threads: (ThreadNotes<R> & { readonly notes: Map<string, Note> })[] = [];
	const process = new Map<string, Note>();
	const others: OtherNote[] = [];
	const mostHere = mostThreads(source.size);
	let fromGdb = false;
	for (const note of notes) {
		const id = noteId(note);
		const kind = known.get(id);
		if (kind === undefined) {
			fromGdb ||= note.owner === "GDB";
			others.push({ owner: note.owner, type: note.type, size: note.size });
			continue;
		}
		requireSize(source, note, kind);
		if (id === begins) {
			if (threads.length === mostHere) tooMany(source, mostHere);
			threads.push({ status: architecture.prstatus.decode(note.read()), at: note.offset, notes: new Map() });
			continue;
		}
		const thread = kind.scope === "process" ? undefined : (threads.at(-1) ?? orphan(source.name, note, kind));
		const there = thread?.notes ?? process;
		if (there.has(kind.name))
			twice(source.name, note, thread === undefined ? kind.title : `${kind.title} of thread ${thread.status.pr_pid}`);
		there.set(kind.name, note);
	}
	return { threads, process, others, fromGdb };
}

function requireSize({ name: subject, size: coreSize }: ByteSource, note: Note, { title, size }: KnownNote): void {
	const wrong = (expected: string): never =>
		refuse("ERR_NOTE_SIZE", {
			subject,
			finding: `${title} at ${hex(note.offset)} is ${note.size} bytes`,
			expectation: `expected ${expected}`,
		});
	if ("exactly" in size) {
		if (note.size !== size.exactly) wrong(`${size.exactly}`);
		return;
	}
	const { atMost, multipleOf = 1 } = size;
	const most = typeof atMost === "number" ? atMost : atMost(coreSize);
	if (note.size > most) wrong(`at most ${most}`);
	if (note.size % multipleOf !== 0) wrong(`a multiple of ${multipleOf}`);
}

const twice = (subject: string, note: Note, name: string): never =>
	refuse("ERR_CORE_CORRUPT", {
		subject,
		finding: `has a second ${name} at ${hex(note.offset)}`,
		expectation: "expected one",
	});

const orphan = (subject: string, note: Note, { title }: KnownNote): never =>
	refuse("ERR_CORE_CORRUPT", {
		subject,
		finding: `${title} at ${hex(note.offset)} precedes every ${noteKinds.status.title}`,
		expectation: "expected it to follow its thread's",
	});

const tooMany = ({ name: subject, size }: ByteSource, most: number): never =>
	refuse("ERR_CORE_CORRUPT", { subject, finding: `has more than ${most} threads`, expectation: boundedBy(most, size) });
