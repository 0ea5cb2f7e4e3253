import type { Address } from "../bytes/address.ts";
import type { CallName } from "../program/calls.ts";
import type { Slot, SyscallBatch } from "./batch.ts";
import type { AgentLayout } from "./layout.ts";
import type { Reports } from "./reports.ts";

/**
 * The blob as a process of ours that makes system calls for us: what Node cannot do, it does. It knows nothing: every call
 * comes from here. When we end, however we do, its socket does: it makes the calls that it was left for that moment (see
 * {@link Agent.undoList}), and ends. When it dies, so do the tasks that it traces with PTRACE_O_EXITKILL.
 */
export interface Agent {
	readonly pid: number;
	/** What it keeps for itself in the hole, and what is free. */
	readonly layout: AgentLayout;
	/** The blob's `syscall` instruction. */
	readonly syscallInstruction: Address;
	/** Whether it can make tasks by clone3(2): no seccomp filter hides that from it. Known when it has settled. */
	readonly clone3: boolean;
	/** What its tasks say. */
	readonly reports: Reports;
	/** Loads bytes, runs steps, sends bytes back; one request after the other. Results are not judged. */
	run(request: AgentRequest): Promise<AgentAnswer>;
	/**
	 * One system call (or deed), and what it returned: an error is -errno. Bytes are passed as a pointer to a copy, and hold
	 * afterwards what the call left in it.
	 */
	call(name: CallName, ...args: readonly (bigint | number | Uint8Array)[]): Promise<bigint>;
	/** An empty batch: several calls, and structures that point at one another, in one request. */
	batch(): SyscallBatch;
	/**
	 * An empty batch for the moment when we are gone, which {@link Agent.perform} hands over with another. It lies where it is
	 * not overwritten before the next: calls may store into it what there is to undo.
	 */
	undoList(): SyscallBatch;
	/**
	 * A batch that the agent has begun is carried out to its end, whether or not we live to hear of it: whatever must not be
	 * left half done belongs into one.
	 */
	perform(batch: SyscallBatch, options?: Patience & Undoing): Promise<Performed>;
	/** How it ended. */
	readonly exited: Promise<AgentEnd>;
	/** Lets it undo what is to be undone, and waits until it is gone. Also when it is gone already. */
	close(): Promise<void>;
}

export interface Undoing {
	/**
	 * What is made instead of this call, should we be gone by then: as {@link Agent.undoList} made it, from before the first call of
	 * the batch that it comes with until there is another. `undefined` for nothing; when the property is absent, as before.
	 */
	readonly undo?: SyscallBatch | undefined;
}

export interface AgentRequest extends Patience {
	/** Anywhere in the hole but its {@link AgentLayout}. */
	readonly load?: readonly { readonly at: Address; readonly bytes: Uint8Array }[];
	/** The first step of a list that is in its memory by then; none when absent. */
	readonly steps?: Address;
	readonly reply?: { readonly at: Address; readonly length: number };
	/** The first step of the list for when we are gone, 0 for none, as before when absent; in force when all is loaded. */
	readonly undo?: bigint;
}

export interface Patience {
	/** Milliseconds after which it is killed, as nothing is to take longer. For ever when absent. */
	readonly patience?: number;
	/** For messages: `starting`. */
	readonly doing?: string;
}

export interface AgentAnswer {
	/** Id of the step that was not satisfied. */
	readonly stoppedAt?: bigint;
	/** Of the last step that was run. */
	readonly result: bigint;
	readonly reply: Buffer;
}

/** The memory of a batch, after its calls. */
export interface Performed {
	/** What a call returned: an error is -errno. */
	result(slot: Slot): bigint;
	bytes(slot: Slot): Buffer;
}

export interface AgentEnd {
	readonly status: number | null;
	readonly signal: NodeJS.Signals | null;
}
