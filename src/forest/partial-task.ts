import type { Registers } from "../arch/architecture.ts";
import type { UserRegs } from "../arch/x86-64/registers.ts";
import type { Xstate, XstateLayout } from "../arch/x86-64/xstate.ts";
import type { Address, FileOffset } from "../bytes/address.ts";
import type { Placed } from "../bytes/extent.ts";
import type { Range } from "../bytes/range.ts";
import type { InitialStack } from "../core/stack.ts";
import type { Finding } from "../finding.ts";
import type { AuxvPair } from "../linux/auxv.ts";
import type { AlternateStack } from "./task.ts";

/** What a core tells of a process: much of memory and registers, nothing of files, handlers and timers. */
export interface PartialTask<R extends Registers = UserRegs> {
	/** The core, as messages call it. */
	readonly name: string;
	/** gdb's cores lose masks, protections and clean mappings. */
	readonly writer: "kernel" | "gdb";
	readonly pid: number;
	/** Absent where the core does not say (gdb writes 0). */
	readonly ppid?: number;
	readonly pgid?: number;
	readonly sid?: number;
	readonly comm: string;
	/** Real ids. */
	readonly owner?: { readonly uid: number; readonly gid: number };
	/** -20 … 19, the leader's. */
	readonly nice?: number;
	/** Leader first, the others from oldest to youngest. */
	readonly threads: readonly PartialThread<R>[];
	/** Its leader had called pthread_exit(3) and was a zombie: none of `threads` has the process's id. */
	readonly leaderEnded?: true;
	/** Findings about what had to be guessed, or is missing. */
	readonly doubts?: readonly Finding[];
	readonly death: Death;
	readonly memory: PartialMemory;
}

export interface Death {
	/** The thread that took the signal. */
	readonly tid: number;
	/** 0 when the process did not die (gcore). */
	readonly signal: number;
	/** In words, such as `SIGSEGV at 0x0 (address not mapped)`. */
	readonly words: string;
	/** The instruction that raised the signal is executed again when the thread goes on. */
	readonly synchronous: boolean;
}

export interface PartialThread<R extends Registers = UserRegs> {
	readonly tid: number;
	/** Raw: a thread inside a system call still carries the kernel's restart code. */
	readonly registers: R;
	readonly xstate?: Xstate;
	/** Absent where the core does not say. */
	readonly blocked?: bigint;
	/** Thread-private pending set; the siginfo is not in a core. */
	readonly pending: bigint;
	readonly shadowStack?: bigint;
	/** Its signal stack, where a handler that was left tells of it. */
	readonly alternateStack?: AlternateStack;
}

export interface PartialMemory {
	/** Sorted, without overlaps; one per VMA. */
	readonly mappings: readonly PartialMapping[];
	/** Sorted. What the core holds of them. */
	readonly contents: readonly Placed<Address>[];
	readonly auxv: readonly AuxvPair[];
	/** Where the processor had what in an XSAVE area, as the core says. */
	readonly xsaveLayout?: XstateLayout;
	/** Path of the mapping that holds the program headers (AT_PHDR). */
	readonly executable: string;
	/** Path → build-id in hex, for those whose first page the core holds. */
	readonly buildIds: ReadonlyMap<string, string>;
	readonly stack: InitialStack;
	/** Bytes that the core itself holds, or `undefined`. */
	read(at: Address, length: number): Buffer | undefined;
}

export interface PartialFile {
	readonly path: string;
	readonly offset: FileOffset;
	/** It was unlinked when the process died, or is missing on this host. */
	readonly deleted: boolean;
	/** It existed when the process died; on this host there is no such file, or another one. */
	readonly absent?: true;
}

/** A mapping as far as two layouts of one program can be compared. */
export interface LayoutMapping extends Range {
	readonly prot?: number;
	/** Absent for anonymous memory. */
	readonly file?: { readonly path: string; readonly offset: FileOffset };
}

export interface PartialMapping extends LayoutMapping {
	/** Absent in gdb's cores where a clean mapping has no segment; untrusted there for PROT_NONE and execute-only. */
	readonly prot?: number;
	readonly file?: PartialFile;
	/** Bytes of it that the core holds, from its start. */
	readonly held: bigint;
	/** Bytes that a truncated core lacks after those. */
	readonly missing?: bigint;
	readonly kernel?: "vdso" | "vvar" | "vsyscall";
}
