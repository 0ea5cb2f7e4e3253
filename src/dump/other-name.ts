import { type BigIntStats, type Dirent, opendirSync } from "node:fs";
import { dirname, join } from "node:path";
import { bytesFromText, textFromBytes } from "../bytes/text.ts";
import { lookAt } from "./looks.ts";

/** So many names are looked at: a directory of millions is no place to search in. */
const MOST_NAMES = 20_000;

/** Another hard link of an unlinked file, searched in the directory that it was in: links elsewhere cannot be found. */
export function otherName(
	lost: string,
	{ ino, dev, nlink }: Pick<BigIntStats, "ino" | "dev" | "nlink">,
): string | undefined {
	if (nlink === 0n) return undefined;
	for (const { path, look } of namesIn(dirname(lost), (entry) => entry.isFile()))
		if (look.ino === ino && look.dev === dev) return path;
	return undefined;
}

/** What is in a directory, as far as it may be looked at. */
export function* namesIn(
	directory: string,
	isWanted: (entry: Dirent) => boolean = () => true,
): Generator<{ readonly path: string; readonly look: BigIntStats }, void, undefined> {
	try {
		const names = opendirSync(Buffer.from(bytesFromText(directory)) as unknown as string, {
			encoding: "buffer" as never,
		});
		try {
			for (let n = 0; n < MOST_NAMES; n++) {
				const entry = names.readSync();
				if (entry === null) return;
				if (!isWanted(entry)) continue;
				const path = join(directory, textFromBytes(entry.name as unknown as Buffer));
				const look = lookAt(path);
				if (look !== undefined) yield { path, look };
			}
		} finally {
			names.closeSync();
		}
	} catch {
		// the directory is gone too, or may not be read
	}
}
