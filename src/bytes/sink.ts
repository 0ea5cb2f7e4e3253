import { constants, fsyncSync, openSync, writeSync } from "node:fs";
import { refuse } from "../errors.ts";
import { attempt, closeOnce } from "./source.ts";

/** A file being written: the counterpart of ByteSource. */
export interface ByteSink {
	/** What messages call it. */
	readonly name: string;
	readonly fd: number;
	/** Writes all of `bytes` where the previous call ended. */
	append(bytes: Uint8Array): void;
	/** Waits until the content is on the disk. */
	sync(): void;
	close(): void;
}

/**
 * Creates a file of mode 0600. The name must be free: an existing file, or a symbolic link planted there, is never
 * written through.
 *
 * @throws NecromancerError ERR_IO, also from `append` and `sync`.
 */
export function createFile(path: string, name: string = path): ByteSink {
	const { O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW } = constants;
	const fd = attempt(name, () => openSync(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600));
	return {
		name,
		fd,
		append: (bytes) => {
			for (let done = 0; done < bytes.length; ) {
				done += attemptWrite(name, () => writeSync(fd, bytes, done, bytes.length - done));
			}
		},
		sync: () => attempt(name, () => fsyncSync(fd)),
		close: closeOnce(fd),
	};
}

/** `attempt` for calls that take room on a disk. */
export function attemptWrite<T>(subject: string, call: () => T): T {
	try {
		return call();
	} catch (cause) {
		const full = fullness[(cause as NodeJS.ErrnoException).code ?? ""];
		if (full === undefined) {
			return attempt(subject, () => {
				throw cause;
			});
		}
		return refuse("ERR_IO", { subject, finding: full, remedy: "make room and run it again" }, { cause });
	}
}

const fullness: Readonly<Record<string, string>> = {
	ENOSPC: "the disk is full",
	EDQUOT: "the disk quota is used up",
	EFBIG: "the file would be larger than the file system or the limit on file sizes allows",
};
