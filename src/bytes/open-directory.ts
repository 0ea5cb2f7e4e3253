import { closeSync, constants, fstatSync, openSync, readlinkSync } from "node:fs";
import { refuse } from "../errors.ts";
import { type Directory, directoryOn } from "./directory.ts";
import { pathOfDescriptor } from "./own-descriptor.ts";
import { isOthersToMove, isOurs } from "./owners.ts";
import { attempt, O_PATH } from "./source.ts";

/** As many as the kernel follows (MAXSYMLINKS, include/linux/namei.h). */
const MOST_LINKS = 40;

/**
 * Opens a directory, one name of its path after the other. A link on the way is followed only where nobody but root and
 * we could have put it there: others who could lead us on by one would choose where we write.
 *
 * @param name What messages call it.
 * @throws NecromancerError ERR_IO when it is no directory that can be read; ERR_OWNER for another user's link.
 */
export function openDirectory(path: string, name: string = path): Directory {
	const { O_RDONLY, O_DIRECTORY } = constants;
	const at = reach(path, name);
	try {
		return directoryOn(
			attempt(name, () => openSync(pathOfDescriptor(at), O_RDONLY | O_DIRECTORY)),
			name,
		);
	} finally {
		closeSync(at);
	}
}

/** An O_PATH descriptor of the directory at `path`. */
function reach(path: string, name: string): number {
	const { O_DIRECTORY, O_NOFOLLOW } = constants;
	const open = (way: string, flags: number): number => attempt(name, () => openSync(way, O_PATH | flags));
	let at = open(path.startsWith("/") ? "/" : ".", O_DIRECTORY);
	const left = partsOf(path);
	try {
		for (let links = 0, part = left.shift(); part !== undefined; part = left.shift()) {
			const way = `${pathOfDescriptor(at)}/${part}`;
			const next = open(way, O_NOFOLLOW);
			const look = fstatSync(next, { bigint: true });
			if (!look.isSymbolicLink()) {
				closeSync(at);
				at = next;
				continue;
			}
			closeSync(next);
			const others = [look, fstatSync(at, { bigint: true })].find(({ uid }) => !isOurs(uid));
			if (others !== undefined || isOthersToMove(fstatSync(at, { bigint: true })))
				refuse("ERR_OWNER", {
					subject: name,
					finding: `${part} on the way there is a link ${others === undefined ? "that others can replace" : `of user ${others.uid}'s`}`,
					expectation: "expected none that leads where somebody else wants",
					remedy: "name the directory itself",
				});
			links += 1;
			if (links > MOST_LINKS) refuse("ERR_IO", { subject: name, finding: "open failed with ELOOP" });
			const target = attempt(name, () => readlinkSync(way));
			left.unshift(...partsOf(target));
			if (target.startsWith("/")) {
				closeSync(at);
				at = -1;
				at = open("/", O_DIRECTORY);
			}
		}
		return at;
	} catch (error) {
		if (at >= 0) closeSync(at);
		throw error;
	}
}

const partsOf = (path: string): string[] => path.split("/").filter((part) => part !== "" && part !== ".");

/** A name, and the directory that it is in, held open. */
export interface DirectoryPlace {
	readonly directory: Directory;
	/** Its last name; `.` where the path ends in one that is no name, such as `/` and `..`. */
	readonly entry: string;
}

/** The directory around a path, which need not be there itself; `name` is what messages call it. @throws what {@link openDirectory} does. */
export function openAround(path: string, name?: string): DirectoryPlace {
	const parts = partsOf(path);
	const last = parts.pop();
	if (last === undefined || last === "..") return { directory: openDirectory(path, name), entry: "." };
	const around = `${path.startsWith("/") ? "/" : ""}${parts.join("/")}`;
	return { directory: openDirectory(around === "" ? "." : around, name), entry: last };
}
