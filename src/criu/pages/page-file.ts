import { ftruncateSync } from "node:fs";
import { writeFrom } from "../../bytes/bulk.ts";
import { attemptWrite, type ByteSink } from "../../bytes/sink.ts";

/** A file of pages, written in order. */
export interface PageFile {
	/** Bytes, and lengths of zeros that become holes. */
	write(parts: readonly (Buffer | bigint)[]): void;
	/** Gives the file its length where it ends in a hole. */
	finish(): void;
}

export function pageFile({ fd, name }: ByteSink): PageFile {
	let position = 0;
	let end = 0;
	const put = (parts: readonly Buffer[]): void => {
		if (parts.length === 0) return;
		writeFrom(fd, name, parts, position);
		position += parts.reduce((sum, { length }) => sum + length, 0);
		end = position;
	};
	return {
		write: (parts) => {
			let row: Buffer[] = [];
			for (const part of parts) {
				if (typeof part !== "bigint") {
					row.push(part);
					continue;
				}
				put(row);
				row = [];
				position += Number(part);
			}
			put(row);
		},
		finish: () => {
			if (position > end) attemptWrite(name, () => ftruncateSync(fd, Math.min(position, LARGEST)));
		},
	};
}

/** Node takes no length above 2^53 - 1, and no file system has room for that one: the kernel says EFBIG to both. */
const LARGEST = Number.MAX_SAFE_INTEGER;
