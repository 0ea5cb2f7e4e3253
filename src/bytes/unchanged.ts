import { fstatSync } from "node:fs";
import { refuse } from "../errors.ts";
import { attempt, type ByteSource } from "./source.ts";
import { isUnchanged, stampOf } from "./stamp.ts";

/**
 * What was made of files is worth something only if they stayed as they were meanwhile. To be asked before it is used, and
 * before they are closed.
 *
 * A write by way of a shared mapping that had been made before the file was opened may leave no trace (fs/inode.c,
 * file_update_time is called when a page becomes writable); any other does.
 *
 * @throws NecromancerError ERR_CHANGED
 */
export function requireUnchanged(sources: Iterable<ByteSource>): void {
	for (const { name, fd, stamp } of sources) {
		if (fd === undefined || stamp === undefined) continue;
		const now = stampOf(attempt(name, () => fstatSync(fd, { bigint: true })));
		if (isUnchanged(stamp, now)) continue;
		refuse("ERR_CHANGED", {
			subject: name,
			finding:
				now.size === stamp.size ? "was changed while it was read" : `has ${now.size} bytes now, and had ${stamp.size}`,
			expectation: "expected it to stay as it was",
			remedy: "run it again when nobody writes to it",
		});
	}
}
