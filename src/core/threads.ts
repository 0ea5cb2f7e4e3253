import type { Prstatus, Registers } from "../arch/architecture.ts";
import type { UserRegs } from "../arch/x86-64/registers.ts";
import {
	guessXstateLayout,
	readXstate,
	type Xstate,
	type XstateLayout,
	xstateLayoutFromNote,
} from "../arch/x86-64/xstate.ts";
import type { ByteSource } from "../bytes/source.ts";
import { refuse } from "../errors.ts";
import { NT } from "../linux/elf-core.ts";
import type { SortedNotes } from "./notes.ts";

/** Who wrote a core. gdb's (gcore, generate-core-file) leave things out and lay XSAVE areas out their own way. */
export type CoreWriter = "kernel" | "gdb";

/** One thread as it died. */
export interface CoreThread<R extends Registers = UserRegs> {
	/** Its id, registers and signal mask. gdb's cores have no signal masks, parents or sessions: they are 0 there. */
	readonly status: Prstatus<R>;
	/** NT_FPREGSET: x87 and SSE registers, 512 bytes. */
	readonly fx?: Uint8Array;
	/** NT_X86_XSTATE, by components. */
	readonly xstate?: Xstate;
	/** NT_X86_SHSTK: the user shadow stack pointer. */
	readonly shadowStack?: bigint;
	/** NT_SIGINFO, 128 bytes: only of the thread that took the signal in kernel cores, of every thread in gdb's. */
	readonly siginfo?: Uint8Array;
	/** What notes of another processor than x86-64 hold, by type. */
	readonly foreign?: ReadonlyMap<number, Uint8Array>;
}

/**
 * The threads in the core's order: the first took the signal (kernel) or was selected (gdb).
 *
 * @throws NecromancerError ERR_CORE_CORRUPT (a thread id twice, or none), and what the XSAVE area's reader throws.
 */
export function readThreads<R extends Registers>(
	source: ByteSource,
	notes: SortedNotes<R>,
	{ writer, foreign }: { readonly writer: CoreWriter; readonly foreign: boolean },
): readonly CoreThread<R>[] {
	const subject = source.name;
	const noted = notes.xsaveLayout && xstateLayoutFromNote(notes.xsaveLayout.read(), subject);
	const seen = new Set<number>();
	return notes.threads.map((thread) => {
		const { pr_pid } = thread.status;
		if (pr_pid <= 0 || seen.has(pr_pid)) {
			refuse("ERR_CORE_CORRUPT", {
				subject,
				finding: pr_pid <= 0 ? `has a thread with id ${pr_pid}` : `has two threads with id ${pr_pid}`,
				expectation: pr_pid <= 0 ? "expected a positive one" : "expected distinct ids",
			});
		}
		seen.add(pr_pid);
		const { status, fpregset, own, siginfo } = thread;
		const common = { status, ...(siginfo && { siginfo: new Uint8Array(siginfo.read()) }) };
		if (foreign) {
			const all = [...(fpregset ? [fpregset] : []), ...own.values()];
			return { ...common, foreign: new Map(all.map((note) => [note.type, new Uint8Array(note.read())])) };
		}
		const [area, shadowStack] = [own.get(NT.X86_XSTATE), own.get(NT.X86_SHSTK)];
		const xstate = area && readArea(area.read(), noted, writer, `${subject}: thread ${pr_pid}`);
		return {
			...common,
			...(fpregset && { fx: new Uint8Array(fpregset.read()) }),
			...(xstate && { xstate }),
			...(shadowStack && { shadowStack: shadowStack.read().readBigUInt64LE(0) }),
		};
	});
}

/** XCR0, the components that an area can hold, in the bytes that the hardware leaves to software. */
const XCR0_AT = 464;

/** The core's one NT_X86_XSAVE_LAYOUT, at its very end, is for all threads; before Linux 6.12 and from gdb there is none. */
function readArea(bytes: Buffer, noted: XstateLayout | undefined, writer: CoreWriter, subject: string): Xstate {
	const xcr0 = bytes.length < XCR0_AT + 8 ? 0n : bytes.readBigUInt64LE(XCR0_AT);
	return readXstate(bytes, noted ?? guessXstateLayout(bytes.length, xcr0, writer, subject), subject);
}
