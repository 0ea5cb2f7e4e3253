import type { Address, FileOffset } from "../../../src/bytes/address.ts";
import type { Extent, Placed } from "../../../src/bytes/extent.ts";
import type { Files } from "../../../src/forest/files.ts";
import type { Task } from "../../../src/forest/task.ts";

/** The bytes of a content, whole pages of them. */
export function bytesOf({ source, offset, length, available }: Extent): Buffer {
	const bytes = Buffer.alloc(Number(length));
	const held = available < length ? available : length;
	if (held > 0n) (source.read(offset, Number(held)) ?? Buffer.alloc(0)).copy(bytes);
	return bytes;
}

/** Page by page, by address or by offset in an object. */
export const pagesOf = (contents: readonly Placed<Address | FileOffset>[]): Map<bigint, Buffer> =>
	new Map(
		contents.flatMap((content) => {
			const bytes = bytesOf(content);
			return Array.from({ length: bytes.length / 4096 }, (_, i): [bigint, Buffer] => [
				content.start + BigInt(i * 4096),
				bytes.subarray(i * 4096, (i + 1) * 4096),
			]);
		}),
	);

/** A task to compare: memory without its bytes, what waits in pipes in hex instead of where it lies. */
export const withoutBytes = ({ memory, files, ...task }: Task): object => ({
	...task,
	memory: {
		...memory,
		contents: [],
		objects: memory.objects.map((object) => ({ ...object, contents: [] })),
		ghosts: memory.ghosts?.map((ghost) => ({ ...ghost, contents: ghost.contents.map(chunkInHex) })) ?? [],
	},
	files: withQueuesInHex(files),
});

const chunkInHex = (content: Placed<FileOffset>): object => ({
	at: content.start,
	bytes: bytesOf(content).toString("hex"),
});

const withQueuesInHex = (files: Files): object => ({
	...files,
	descriptors: files.descriptors.map((descriptor) => {
		const { description } = descriptor;
		if (description.kind !== "pipe" && description.kind !== "fifo") return descriptor;
		const { content, ...pipe } = description.pipe;
		const held = content === undefined ? {} : { content: hexOf(content) };
		return { ...descriptor, description: { ...description, pipe: { ...pipe, ...held } } };
	}),
});

const hexOf = ({ source, offset, length }: Extent): string =>
	source.read(offset, Number(length))?.toString("hex") ?? "shorter";
