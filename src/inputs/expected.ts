import type { FileIdentity, MappedFile } from "../forest/file-identity.ts";

/** How a file looked that a process had, as its core or its images tell. What is absent is not compared. */
export interface Expected extends Omit<MappedFile, "path"> {
	/** Of the file that was open: proves that it is still that one, and never that it is another. */
	readonly identity?: FileIdentity;
	/** It was mapped, as no directory, FIFO or socket can be. */
	readonly isMapped?: boolean;
	/** It is opened for reading alone or for writing alone: at a FIFO that waits until somebody opens the other end. */
	readonly waits?: boolean;
	/** ELF header and program headers. */
	readonly head?: Buffer;
	/** That many of its first bytes; `undefined` where the core does not hold them. */
	readonly beginning?: (length: number) => Buffer | undefined;
	/**
	 * Code of it was mapped, or may have been. A program that prints its own backtrace (Rust's panics, libbacktrace) maps debug
	 * files as data only.
	 */
	readonly hasCode?: boolean;
	/** Where accessible mappings of it start and end, as offsets into it. */
	readonly reach?: { readonly lastStart: bigint; readonly end: bigint };
	/** Where the kernel says that it begins, of the executable (AT_ENTRY, AT_PHDR, AT_PHNUM): known though no page of it is held. */
	readonly start?: { readonly entryFromHeaders: bigint; readonly headers: number };
	/** Pages that the dynamic linker relocated and then made read-only, as the core holds them, and where the file begins in memory. */
	readonly relocated?: {
		readonly base: bigint;
		readonly pages: readonly { readonly offset: bigint; read(): Buffer | undefined }[];
	};
}
