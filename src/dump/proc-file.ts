import { type BigIntStats, closeSync, constants, fstatSync, openSync, readSync } from "node:fs";
import type { Agent } from "../agent/agent.ts";
import { type FileOffset, fileOffset, plus } from "../bytes/address.ts";
import { extent, type Placed, place } from "../bytes/extent.ts";
import { pathOfDescriptor } from "../bytes/own-descriptor.ts";
import type { FileRange } from "../bytes/range.ts";
import { attempt, type ByteSource, closeOnce, O_PATH } from "../bytes/source.ts";
import { pathOfLink } from "../proc/links.ts";
import { dataRanges } from "../trace/data-ranges.ts";

/** A file opened by its link in /proc, which works after a rename or unlink too. */
export interface ProcFile {
	readonly source: ByteSource;
	readonly stat: BigIntStats;
}

/**
 * Links of map_files may be followed with CAP_SYS_ADMIN or CAP_CHECKPOINT_RESTORE, and not without: then `undefined`. Only
 * regular files are opened for reading: a process that shares the fd table (CLONE_FILES) can put a FIFO there, which would
 * block us.
 */
export function openProcFile(path: string): ProcFile | undefined {
	const fd = regularAt(path);
	if (fd === undefined) return undefined;
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

function regularAt(path: string): number | undefined {
	let at: number | undefined;
	try {
		at = openSync(path, O_PATH);
		if (!fstatSync(at).isFile()) return undefined;
		return openSync(pathOfDescriptor(at), constants.O_RDONLY | constants.O_NONBLOCK);
	} catch {
		return undefined;
	} finally {
		if (at !== undefined) closeSync(at);
	}
}

/** The file that is open as one of our own descriptors, for our agent. */
export const heldFile = ({ fd = -1 }: Pick<ByteSource, "fd">): string => pathOfLink(process.pid, `fd/${fd}`);

/**
 * The data of a file by offset, without holes where SEEK_DATA works.
 *
 * @param unit Bytes: contents are made of whole ones.
 * @throws NecromancerError ERR_HOST where the agent is lost.
 */
export async function contentsOfFile(agent: Agent, { source }: ProcFile, unit = 1n): Promise<Placed<FileOffset>[]> {
	const whole: FileRange = { start: fileOffset(0), end: fileOffset(source.size) };
	return ((await dataRanges(agent, heldFile(source))) ?? [whole])
		.filter(({ start, end }) => start < end)
		.map(({ start, end }) => {
			const from = plus(start, -(start % unit));
			const length = ((end - from + unit - 1n) / unit) * unit;
			return place(from, extent(source, from, length, end - from));
		});
}
