/** How a file may be compressed. */
export type Packing = "gzip" | "zstd" | "lz4" | "xz" | "bzip2";

/** First bytes in hexadecimal (RFC 1952, RFC 8878, lz4's frame format, the .xz format, bzip2's manual). */
const beginnings: readonly (readonly [start: RegExp, packing: Packing])[] = [
	[/^1f8b08/, "gzip"],
	[/^28b52ffd/, "zstd"],
	// a skippable frame: pzstd begins with one that tells the size of the first real one
	[/^5[0-9a-f]2a4d18/, "zstd"],
	[/^04224d18/, "lz4"],
	// the frame of before 2013, which `lz4 -l` and kernels still write
	[/^02214c18/, "lz4"],
	[/^fd377a585a00/, "xz"],
	// with the first block behind it, or the end of a stream that is empty
	[/^425a683[1-9](?:314159265359|177245385090)/, "bzip2"],
];

/** Enough of a file to tell. */
export const PACKING_BYTES = 10;

/** How bytes are compressed that begin like this, whatever their file is called; `undefined` when they are not. */
export function packingOf(head: Uint8Array): Packing | undefined {
	const start = Buffer.from(head.subarray(0, PACKING_BYTES)).toString("hex");
	return beginnings.find(([beginning]) => beginning.test(start))?.[1];
}
