import type { XstateLayout } from "../arch/x86-64/xstate.ts";
import type { Address } from "../bytes/address.ts";
import type { Placed } from "../bytes/extent.ts";
import type { Range } from "../bytes/range.ts";
import type { AuxvPair } from "../linux/auxv.ts";
import type { ElfPrpsinfo } from "../linux/elf-core.ts";
import type { NotedFile } from "./files.ts";
import type { CoreThread } from "./threads.ts";

/** A core that is to be written: what a {@link Core} is for one that is read. */
export interface NewCore {
	/** NT_PRPSINFO. */
	readonly process: ElfPrpsinfo;
	/** The first took the signal; its `siginfo` becomes NT_SIGINFO. `fx` is taken from `xstate` where it is absent. */
	readonly threads: readonly CoreThread[];
	/** Up to, not including, AT_NULL. */
	readonly auxv: readonly AuxvPair[];
	/** NT_FILE, by ascending address. */
	readonly files: readonly NotedFile[];
	/** PT_LOAD, by ascending address, without overlaps. */
	readonly segments: readonly NewSegment[];
	/**
	 * Where components lie in the threads' XSAVE areas; NT_X86_XSAVE_LAYOUT says it too. When absent, in Intel's places, which
	 * every gdb knows.
	 */
	readonly xstate?: XstateLayout;
}

/** One mapping. */
export interface NewSegment extends Range {
	/** Bits of mmap(2). */
	readonly prot: number;
	/** How many of its bytes the core holds, from its start. */
	readonly fileSize: bigint;
	/** Where they come from: ascending, without overlaps, within the segment. Between them are zeros. */
	readonly contents: readonly Placed<Address>[];
}
