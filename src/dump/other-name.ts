import { type BigIntStats, opendirSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { bytesFromText, textFromBytes } from "../bytes/text.ts";

/** So many names are looked at: a directory of millions is no place to search in. */
const MOST_NAMES = 20_000;

/** Another hard link of an unlinked file, searched in the directory that it was in: links elsewhere cannot be found. */
export function otherName(
	lost: string,
	{ ino, dev, nlink }: Pick<BigIntStats, "ino" | "dev" | "nlink">,
): string | undefined {
	if (nlink === 0n) return undefined;
	const directory = dirname(lost);
	try {
		const names = opendirSync(Buffer.from(bytesFromText(directory)) as unknown as string, {
			encoding: "buffer" as never,
		});
		try {
			for (let n = 0; n < MOST_NAMES; n++) {
				const entry = names.readSync();
				if (entry === null) return undefined;
				if (!entry.isFile()) continue;
				const path = join(directory, textFromBytes(entry.name as unknown as Buffer));
				const look = statSync(Buffer.from(bytesFromText(path)), { bigint: true, throwIfNoEntry: false });
				if (look?.ino === ino && look.dev === dev) return path;
			}
		} finally {
			names.closeSync();
		}
	} catch {
		// the directory is gone too, or may not be read
	}
	return undefined;
}
