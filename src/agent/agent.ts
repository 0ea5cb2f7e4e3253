import type { Address } from "../bytes/address.ts";
import type { ArgsOf, CallName } from "../program/calls.ts";
import type { Slot, SyscallBatch } from "./batch.ts";
import type { AgentLayout } from "./layout.ts";
import type { Reports } from "./reports.ts";

/**
 * The blob as a process of ours that makes system calls for us: what Node cannot do, it does. It decides nothing: every call is
 * sent to it over a socket. When our process ends, that socket closes; the agent then runs its undo list (see {@link
 * Agent.undoList}) and exits. The processes that it traces with PTRACE_O_EXITKILL die with it.
 */
export interface Agent {
	readonly pid: number;
	/** Which parts of the hole the agent uses itself, and which are free. */
	readonly layout: AgentLayout;
	/** The blob's `syscall` instruction. */
	readonly syscallInstruction: Address;
	/** Whether it can call clone3(2), which some seccomp filters hide. Known once it is initialised. */
	readonly clone3: boolean;
	/** What the processes that it makes report. */
	readonly reports: Reports;
	/** Loads bytes, runs steps, sends bytes back; one request after the other. Results are not judged. */
	run(request: AgentRequest): Promise<AgentAnswer>;
	/**
	 * One system call (or deed), and what it returned: an error is -errno. Bytes are passed as a pointer to a copy, and hold
	 * afterwards what the call left in it.
	 */
	call<C extends CallName>(name: C, ...args: ArgsOf<C, bigint | number | Uint8Array>): Promise<bigint>;
	/** An empty batch: several calls, and structures that point at one another, in one request. */
	batch(): SyscallBatch;
	/**
	 * An empty undo list: the calls that the agent makes if our process ends. {@link Agent.perform} sends it together with a
	 * batch. It stays in memory until the next undo list, so that calls of the batch may store into it what there is to undo.
	 */
	undoList(): SyscallBatch;
	/**
	 * The agent finishes every batch that it has begun, also when our process ends meanwhile: calls that must not be left half
	 * done belong into one batch.
	 */
	perform(batch: SyscallBatch, options?: Patience & Undoing): Promise<Performed>;
	/** How it ended. */
	readonly exited: Promise<AgentEnd>;
	/** Has it run its undo list and waits until it has exited. Does nothing when it has exited already. */
	close(): Promise<void>;
}

export interface Undoing {
	/**
	 * The undo list, made by {@link Agent.undoList}, that is in force from before the first call of this batch until another
	 * replaces it. `undefined` clears it; when the property is absent, the previous one stays.
	 */
	readonly undo?: SyscallBatch | undefined;
}

export interface AgentRequest extends Patience {
	/** Anywhere in the hole but its {@link AgentLayout}. */
	readonly load?: readonly { readonly at: Address; readonly bytes: Uint8Array }[];
	/** The first step of a list that is in its memory by then; none when absent. */
	readonly steps?: Address;
	readonly reply?: { readonly at: Address; readonly length: number };
	/** The first step of the undo list, in force once all is loaded; 0 clears it, absent keeps the previous one. */
	readonly undo?: bigint;
}

export interface Patience {
	/** Milliseconds after which the agent is killed. No limit when absent. */
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
