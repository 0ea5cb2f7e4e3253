import type { Codec } from "./layout.ts";
import { viewOf } from "./layout.ts";

/**
 * Reads forward through bytes and never past their end: where they run out, `short` is called with the number of bytes
 * wanted and left, and is expected to throw the error that fits the format.
 */
export interface Cursor {
	/** Bytes consumed so far. */
	readonly position: number;
	readonly remaining: number;
	take<T>(codec: Codec<T>): T;
	/** A view (no copy) of the next `count` bytes. */
	bytes(count: number): Buffer;
	/** The bytes up to the next NUL, which is consumed; `short` when there is none. */
	untilNul(): Buffer;
	skip(count: number): void;
	/** Skips to the next multiple of `alignment` counted from the start, or to the end if that is nearer. */
	align(alignment: number): void;
}

export function cursor(source: Uint8Array, short: (wanted: number, left: number, position: number) => never): Cursor {
	const buffer = Buffer.from(source.buffer, source.byteOffset, source.byteLength);
	const view = viewOf(source);
	let at = 0;
	const advance = (count: number): number => {
		if (count > buffer.length - at) short(count, buffer.length - at, at);
		const from = at;
		at += count;
		return from;
	};
	return {
		get position() {
			return at;
		},
		get remaining() {
			return buffer.length - at;
		},
		take: (codec) => codec.read(view, advance(codec.size)),
		bytes: (count) => {
			const from = advance(count);
			return buffer.subarray(from, from + count);
		},
		untilNul: () => {
			const end = buffer.indexOf(0, at);
			if (end < 0) short(buffer.length - at + 1, buffer.length - at, at);
			const found = buffer.subarray(at, end);
			at = end + 1;
			return found;
		},
		skip: (count) => void advance(count),
		align: (alignment) => {
			at = Math.min(Math.ceil(at / alignment) * alignment, buffer.length);
		},
	};
}
