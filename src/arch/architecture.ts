import type { ElfPrstatus } from "../linux/elf-core.ts";

/** What must be known of a processor to read a core that was made on it. */
export interface Architecture<R extends Registers> {
	/** `e_machine` (include/uapi/linux/elf-em.h). */
	readonly machine: number;
	/** `struct elf_prstatus`: the same everywhere, up to the registers. */
	readonly prstatus: {
		readonly name: string;
		readonly size: number;
		decode(bytes: Uint8Array): Prstatus<R>;
	};
	/** Notes that each thread may have, where cores of it are shown and no more: their bytes are kept by type. */
	readonly threadNotes: readonly ThreadNote[];
}

/** General registers, of which every processor has these, by its own names for the rest. */
export interface Registers {
	readonly sp: bigint;
}

export type Prstatus<R extends Registers> = ElfPrstatus<R>;

export interface ThreadNote {
	readonly owner: "CORE" | "LINUX";
	readonly type: number;
	/** For messages. */
	readonly title: string;
	/** Bytes. */
	readonly size: { readonly exactly: number } | { readonly atMost: number };
}
