import { type FileOffset, fileOffset } from "../bytes/address.ts";
import type { ByteSource } from "../bytes/source.ts";

/** Reads `length` bytes at `offset` as a view that the next call may overwrite; `undefined` past the source's end. */
export type Window = (offset: FileOffset, length: number) => Buffer | undefined;

/** Small reads in roughly ascending order, served from one buffer of at most `capacity` bytes. */
export function windowed(source: ByteSource, capacity = 65_536): Window {
	let start = 0n;
	let held: Buffer = Buffer.alloc(0);
	return (offset, length) => {
		if (offset + BigInt(length) > source.size) return undefined;
		if (length > capacity) return source.read(offset, length);
		if (offset < start || offset + BigInt(length) > start + BigInt(held.length)) {
			const left = source.size - offset;
			held = source.read(fileOffset(offset), left < BigInt(capacity) ? Number(left) : capacity) ?? Buffer.alloc(0);
			start = offset;
		}
		const from = Number(offset - start);
		return from + length <= held.length ? held.subarray(from, from + length) : undefined;
	};
}
