import { code, symbols } from "../blob/generated/blob.ts";

/** The machine code of src/blob, and where in it what lies. */
export interface Blob {
	readonly bytes: Uint8Array;
	/** Offsets, in bytes. */
	readonly symbols: {
		/** Where the agent begins. */
		readonly agent: number;
		/** Where a spawned task begins. */
		readonly child_entry: number;
		/** A `syscall` instruction, for a tracer to stand a thread on. */
		readonly syscall_insn: number;
	};
}

export const blob: Blob = { bytes: Buffer.from(code, "base64"), symbols };
