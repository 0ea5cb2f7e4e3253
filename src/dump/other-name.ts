import { type BigIntStats, type Dirent, opendirSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { bytesFromText, textFromBytes } from "../bytes/text.ts";

/** So many names are looked at: a directory of millions is no place to search in. */
const MOST_NAMES = 20_000;

/** Another hard link of an unlinked file, searched in the directory that it was in: links elsewhere cannot be found. */
export const otherName = (
	lost: string,
	{ ino, dev, nlink }: Pick<BigIntStats, "ino" | "dev" | "nlink">,
): string | undefined =>
	nlink === 0n
		? undefined
		: nameIn(
				dirname(lost),
				(look) => look.ino === ino && look.dev === dev,
				(entry) => entry.isFile(),
			);

/** The first path in a directory whose file is the one that is wanted. */
export function nameIn(
	directory: string,
	isWanted: (look: BigIntStats) => boolean,
	isLike: (entry: Dirent) => boolean = () => true,
): string | undefined {
	try {
		const names = opendirSync(Buffer.from(bytesFromText(directory)) as unknown as string, {
			encoding: "buffer" as never,
		});
		try {
			for (let n = 0; n < MOST_NAMES; n++) {
				const entry = names.readSync();
				if (entry === null) return undefined;
				if (!isLike(entry)) continue;
				const path = join(directory, textFromBytes(entry.name as unknown as Buffer));
				const look = lookAt(path);
				if (look !== undefined && isWanted(look)) return path;
			}
		} finally {
			names.closeSync();
		}
	} catch {
		// the directory is gone too, or may not be read
	}
	return undefined;
}

/** How what a path leads to looks. */
export function lookAt(path: string): BigIntStats | undefined {
	try {
		return statSync(Buffer.from(bytesFromText(path)), { bigint: true });
	} catch {
		return undefined;
	}
}
