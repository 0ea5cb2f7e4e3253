import type { FhEntry } from "../criu/wire/generated/schema.ts";
import type { FileHandle } from "./ask.ts";

/** CRIU writes a handle as 64-bit words, and no fewer of them than these (criu/fsnotify.c, 4.2). */
const HANDLE_WORDS = 16;

export function handleTo({ type, bytes }: FileHandle): FhEntry {
	const words = Buffer.alloc(Math.max(HANDLE_WORDS, Math.ceil(bytes.length / 8)) * 8);
	words.set(bytes);
	return {
		...{ bytes: bytes.length, type },
		handle: Array.from({ length: words.length / 8 }, (_, i) => words.readBigUInt64LE(i * 8)),
	};
}

export function handleFrom({ bytes, type, handle }: FhEntry): FileHandle {
	const words = Buffer.alloc(handle.length * 8);
	for (const [i, word] of handle.entries()) words.writeBigUInt64LE(word, i * 8);
	return { type, bytes: words.subarray(0, bytes) };
}

/** Absent on file systems that know no handles. */
const HANDLE = /fhandle-type:([0-9a-f]+) f_handle:([0-9a-f]*)/;

/** The handle in a line of fdinfo (fs/notify/fdinfo.c). */
export function handleIn(line: string): FileHandle {
	const [, type = "0", handle = ""] = HANDLE.exec(line) ?? [];
	return { type: Number.parseInt(type, 16), bytes: Buffer.from(handle, "hex") };
}
