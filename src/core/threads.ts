import type { Prstatus, Registers } from "../arch/architecture.ts";
import type { UserRegs } from "../arch/x86-64/registers.ts";
import type { XstateLayout } from "../arch/x86-64/xstate.ts";
import type { ByteSource } from "../bytes/source.ts";
import { refuse } from "../errors.ts";
import { type CoreWriter, type Noted, noteKinds } from "./note-kinds.ts";
import type { NamedNotes, SortedNotes } from "./notes.ts";

/** One thread as it died: what its notes say, each by the name of its row in `noteKinds`. */
export interface CoreThread<R extends Registers = UserRegs> extends Omit<Noted<"thread">, "status"> {
	/** Its id, registers and signal mask. gdb's cores have no signal masks, parents or sessions: they are 0 there. */
	readonly status: Prstatus<R>;
	/** What notes of another processor than x86-64 hold, by type. */
	readonly foreign?: ReadonlyMap<number, Uint8Array>;
}

/** What is needed to read the notes of any thread. */
export interface ThreadReading {
	readonly writer: CoreWriter;
	/** NT_X86_XSAVE_LAYOUT, at the core's very end, is for all threads; before Linux 6.12 and from gdb there is none. */
	readonly xsaveLayout: XstateLayout | undefined;
}

/**
 * The threads in the core's order: the first took the signal (kernel) or was selected (gdb).
 *
 * @throws NecromancerError ERR_CORE_CORRUPT (a thread id twice, or none), and what the XSAVE area's reader throws.
 */
export function readThreads<R extends Registers>(
	source: ByteSource,
	{ threads }: Pick<SortedNotes<R>, "threads">,
	reading: ThreadReading,
): readonly CoreThread<R>[] {
	const subject = source.name;
	const seen = new Set<number>();
	return threads.map(({ status, notes }) => {
		const { pr_pid } = status;
		if (pr_pid <= 0 || seen.has(pr_pid)) {
			refuse("ERR_CORE_CORRUPT", {
				subject,
				finding: pr_pid <= 0 ? `has a thread with id ${pr_pid}` : `has two threads with id ${pr_pid}`,
				expectation: pr_pid <= 0 ? "expected a positive one" : "expected distinct ids",
			});
		}
		seen.add(pr_pid);
		return { status, ...valuesIn(notes, { ...reading, subject: `${subject}: thread ${pr_pid}` }) };
	});
}

function valuesIn(notes: NamedNotes, by: ThreadReading & { readonly subject: string }): Omit<CoreThread, "status"> {
	const values: Record<string, unknown> = {};
	const foreign = new Map<number, Uint8Array>();
	for (const [name, kind] of Object.entries(noteKinds)) {
		const note = kind.scope === "thread" ? notes.get(name) : undefined;
		if (note !== undefined && kind.scope === "thread") values[name] = kind.decode(note.read(), by);
	}
	for (const [name, note] of notes)
		if (!Object.hasOwn(noteKinds, name)) foreign.set(note.type, new Uint8Array(note.read()));
	return { ...values, ...(foreign.size === 0 ? {} : { foreign }) };
}
