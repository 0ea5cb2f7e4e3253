import { type ByteSource, fromBuffer } from "../../../src/bytes/source.ts";

/** A file of `size` bytes that begins with these; the rest is a hole. */
export const sparse = (name: string, bytes: Buffer, size: bigint): ByteSource => ({
	...fromBuffer(name, bytes),
	size,
	read: (offset, length) => {
		if (offset + BigInt(length) > size) return undefined;
		const start = offset < BigInt(bytes.length) ? Number(offset) : bytes.length;
		const out = Buffer.alloc(length);
		bytes.copy(out, 0, start, start + length);
		return out;
	},
});
