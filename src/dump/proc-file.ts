import { type BigIntStats, fstatSync, openSync, readSync } from "node:fs";
import { address, fileOffset } from "../bytes/address.ts";
import { attempt, type ByteSource, closeOnce } from "../bytes/source.ts";
import type { DataRange } from "../host/data-ranges.ts";
import type { Content } from "../task/task.ts";

/** A file that is reached by a link of /proc, whatever has become of its name. */
export interface ProcFile {
	readonly source: ByteSource;
	readonly stat: BigIntStats;
}

/** Links of map_files may be followed with CAP_SYS_ADMIN or CAP_CHECKPOINT_RESTORE, and not without: then `undefined`. */
export function openProcFile(path: string): ProcFile | undefined {
	let fd: number;
	try {
		fd = openSync(path, "r");
	} catch {
		return undefined;
	}
	const stat = fstatSync(fd, { bigint: true });
	const source: ByteSource = {
		name: path,
		fd,
		size: stat.size,
		read: (offset, length) => {
			const buffer = Buffer.alloc(length);
			for (let done = 0; done < length; ) {
				const count = attempt(path, () => readSync(fd, buffer, done, length - done, offset + BigInt(done)));
				if (count === 0) return undefined;
				done += count;
			}
			return buffer;
		},
		close: closeOnce(fd),
	};
	return { source, stat };
}

/**
 * The bytes of a file by offset; where nobody tells of holes, all of them.
 *
 * @param unit Bytes: contents are made of whole ones.
 */
export const contentsOfFile = (
	source: ByteSource,
	ranges: readonly DataRange[] = [{ start: 0n, end: source.size }],
	unit = 1n,
): Content[] =>
	ranges
		.filter(({ start, end }) => start < end)
		.map(({ start, end }) => {
			const from = start - (start % unit);
			return {
				start: address(from),
				length: ((end - from + unit - 1n) / unit) * unit,
				source,
				offset: fileOffset(from),
				available: end - from,
			};
		});
