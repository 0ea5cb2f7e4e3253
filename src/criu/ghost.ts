import { type FileOffset, fileOffset, hex } from "../bytes/address.ts";
import { type Extent, extent, type Placed, place } from "../bytes/extent.ts";
import { refuse } from "../errors.ts";
import { encodeImage, framed, type ImageRecord } from "./image.ts";
import { imageKinds } from "./kinds.ts";
import { frames } from "./wire/frames.ts";
import type { GhostFileEntry } from "./wire/generated/schema.ts";
import { decodeRecord } from "./wire/protobuf.ts";

/** What a file without a name held, and how long it was. */
export interface GhostContent {
	/** Bytes. */
	readonly size: bigint;
	/** By offset in the file. What none of them covers was a hole. */
	readonly extents: readonly Placed<FileOffset>[];
}

/**
 * The content behind the record of a ghost-file image: the whole file, or chunks that leave its holes out.
 *
 * @throws NecromancerError ERR_IMAGE_CORRUPT for a chunk beyond the end, or one whose file has no size.
 */
export function ghostContent({ value, extra }: ImageRecord<GhostFileEntry>, name: string): GhostContent {
	if (extra === undefined) return { size: value.size ?? 0n, extents: [] };
	if (value.chunks !== true) return { size: extra.length, extents: [place(fileOffset(0), extra)] };
	const size =
		value.size ?? refuse("ERR_IMAGE_CORRUPT", { subject: name, finding: "has chunks", expectation: "but no size" });
	const end = extra.offset + extra.length;
	const reader = frames(extra.source, extra.offset);
	const extents: Placed<FileOffset>[] = [];
	while (reader.at < end) {
		const subject = `${name} at ${hex(reader.at)}`;
		const { len, off } = decodeRecord("ghost_chunk_entry", reader.record(), subject);
		if (off + len > size)
			refuse("ERR_IMAGE_CORRUPT", {
				subject,
				finding: `a chunk ends at ${hex(off + len)}`,
				expectation: `expected it inside the file's ${size} bytes`,
			});
		if (len > 0n) extents.push(place(fileOffset(off), extent(extra.source, reader.at, len)));
		reader.skip(len);
	}
	return { size, extents };
}

/** The pieces of a ghost-file image, chunk by chunk: holes stay holes. The inverse of {@link ghostContent}. */
export const encodeGhost = (entry: GhostFileEntry, { size, extents }: GhostContent): (Uint8Array | Extent)[] => [
	...encodeImage({ kind: imageKinds["ghost-file"], records: [{ value: { ...entry, chunks: true, size } }] }),
	...extents.flatMap((part) => [framed("ghost_chunk_entry", { len: part.length, off: part.start }), part]),
];
