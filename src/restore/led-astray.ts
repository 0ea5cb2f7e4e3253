import { lstatSync } from "node:fs";
import { bytesFromText } from "../bytes/text.ts";
import { resolveInRoot, strangerOnTheWay } from "../rights/resolve-in-root.ts";
import type { Seen } from "./sight.ts";

/**
 * Whether somebody else may have led a process to a file: by a link on the way that is neither root's, nor the process's user's, nor
 * ours. The kernel says no to files that a user may not open; to what he may open, it is a link in a directory of another
 * user's that sends him.
 *
 * @param seen What was found under the path. Looked at before this, and what is opened later is held against it: so whoever
 *   changes links meanwhile gains nothing.
 * @returns who, and how, in words.
 */
export function ledAstray(path: string, seen: Pick<Seen, "device" | "inode">, user: number): string | undefined {
	const reached = resolveInRoot("/", path);
	// what we may not look at ourselves the user reaches by his own right
	if (reached === undefined) return undefined;
	const stranger = strangerOnTheWay(reached, user);
	if (stranger !== undefined) return `is reached by a link of user ${stranger}'s`;
	const end = lstatSync(Buffer.from(bytesFromText(reached.path)), { bigint: true, throwIfNoEntry: false });
	if (end?.dev === seen.device && end.ino === seen.inode) return undefined;
	return "became another file while it was looked at";
}
