import { closeSync, constants, fstatSync, openSync, writeSync } from "node:fs";
import { refuse } from "../errors.ts";
import type { Directory } from "./directory.ts";
import { openAround } from "./open-directory.ts";
import { pathOfDescriptor } from "./own-descriptor.ts";
import { isOthersToMove } from "./owners.ts";
import { attemptWrite } from "./sink.ts";
import { attempt, closeOnce, O_PATH } from "./source.ts";

/** A file that the user names for us to write. */
export interface OutputFile {
	/** Writes all of it. @throws NecromancerError ERR_IO */
	write(text: string): void;
	close(): void;
}

/**
 * Opens a file to be written anew: one that is not there yet, one of our own that nobody else could have put there, or a
 * device such as /dev/null. `/dev/stdout`, `/dev/stderr` and `/dev/fd/N` are descriptors of ours. What the user names is
 * looked at before it is opened: a link is not followed, and nobody waits for the other end of a FIFO.
 *
 * @throws NecromancerError ERR_IO, ERR_OWNER, before anything is written.
 */
export function openOutput(path: string): OutputFile {
	const own = ownDescriptor(path);
	if (own !== undefined) return outputOn(own, path, () => {});
	const { directory, entry } = openAround(path, path);
	try {
		const fd = create(directory, entry, path) ?? reopen(directory, entry, path);
		return outputOn(fd, path, closeOnce(fd));
	} finally {
		directory.close();
	}
}

const STANDARD: Readonly<Record<string, number>> = { "/dev/stdout": 1, "/dev/stderr": 2 };

function ownDescriptor(path: string): number | undefined {
	const [, number] = /^\/(?:dev|proc\/self)\/fd\/(\d{1,7})$/.exec(path) ?? [];
	return number === undefined ? STANDARD[path] : Number(number);
}

const outputOn = (fd: number, name: string, close: () => void): OutputFile => ({
	write: (text) => {
		const bytes = Buffer.from(text);
		for (let done = 0; done < bytes.length; ) done += attemptWrite(name, () => writeSync(fd, bytes, done));
	},
	close,
});

/** `undefined` where the name is taken. */
function create(directory: Directory, entry: string, name: string): number | undefined {
	const { O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW } = constants;
	return attemptWrite(name, () => {
		try {
			return openSync(directory.at(entry), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o644);
		} catch (cause) {
			if ((cause as NodeJS.ErrnoException).code !== "EEXIST") throw cause;
			return undefined;
		}
	});
}

function reopen(directory: Directory, entry: string, name: string): number {
	const { O_NOFOLLOW, O_WRONLY, O_TRUNC, O_NOCTTY } = constants;
	const at = attempt(name, () => openSync(directory.at(entry), O_PATH | O_NOFOLLOW));
	try {
		const found = fstatSync(at, { bigint: true });
		if (!found.isFile() && !found.isCharacterDevice())
			refuse("ERR_IO", {
				subject: name,
				finding: `is ${found.isSymbolicLink() ? "a link" : found.isFIFO() ? "a FIFO" : found.isDirectory() ? "a directory" : "no regular file"}`,
				expectation: "expected a file to write, or none",
				remedy: "name another",
			});
		const others = isOthersToMove(directory.opened);
		const own = found.isCharacterDevice() || (Number(found.uid) === process.geteuid?.() && found.nlink === 1n);
		if (others || !own)
			refuse("ERR_OWNER", {
				subject: name,
				finding: others
					? "is there already, in a directory that another user can change"
					: found.nlink === 1n
						? `belongs to user ${found.uid}`
						: `has ${found.nlink} names`,
				expectation: "expected a file of our own, or none",
				remedy: "remove it, or name another",
			});
		return attemptWrite(name, () =>
			openSync(pathOfDescriptor(at), O_WRONLY | O_NOCTTY | (found.isFile() ? O_TRUNC : 0)),
		);
	} finally {
		closeSync(at);
	}
}
