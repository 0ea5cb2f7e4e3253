import { spawn } from "node:child_process";
import { closeSync, constants, ftruncateSync, mkdtempSync, openSync, rmSync, statfsSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { attemptWrite } from "../bytes/sink.ts";
import { attempt, type ByteSource, openFile } from "../bytes/source.ts";
import { refuse } from "../errors.ts";

/** A file of ours that has a name for as long as others must open it, and never longer than this process lives. */
export interface TemporaryFile {
	readonly path: string;
	/** Bytes so far. */
	readonly size: bigint;
	/** Writes `bytes` where the previous call ended. Zeros become holes. */
	append(bytes: Buffer): void;
	/** Ends the writing. */
	asSource(): ByteSource;
	/** Takes its name away. Who has it open or mapped keeps it. */
	close(): void;
}

const BLOCK = 4096;
const zeros = Buffer.alloc(BLOCK);

/**
 * Makes a file of mode 0600 in a directory of mode 0700.
 *
 * @param name What messages call it.
 * @param place A directory; without one TMPDIR, /var/tmp (which is on a disk where /tmp may be memory), or /tmp.
 * @throws NecromancerError ERR_IO, also from `append`: then with the free space of the place.
 */
export function makeTemporaryFile(name: string, place?: string): TemporaryFile {
	const directory = makeDirectory(place === undefined ? places() : [place]);
	const { release } = guard(directory);
	const path = join(directory, "core");
	const fd = attempt(path, () => openSync(path, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o600));
	let size = 0;
	let open = true;
	const finish = (): void => {
		if (!open) return;
		open = false;
		closeSync(fd);
	};
	const write = (bytes: Buffer, from: number, to: number): void => {
		const at = size;
		for (let done = from; done < to; )
			done += attemptToWrite(name, directory, at, () => writeSync(fd, bytes, done, to - done, at + done));
	};
	return {
		path,
		get size() {
			return BigInt(size);
		},
		append: (bytes) => {
			for (const [from, to] of denseParts(bytes, size % BLOCK)) write(bytes, from, to);
			size += bytes.length;
		},
		asSource: () => {
			attemptWrite(name, () => ftruncateSync(fd, size));
			finish();
			return { ...openFile(path, name), path };
		},
		close: () => {
			finish();
			rmSync(directory, { recursive: true, force: true });
			release();
		},
	};
}

/** The stretches of `bytes` that are not whole blocks of zeros. `into`: how far into a block of the file they begin. */
function* denseParts(bytes: Buffer, into: number): Generator<readonly [from: number, to: number]> {
	let start = 0;
	for (let at = 0; at < bytes.length; ) {
		const end = Math.min(bytes.length, at === 0 ? BLOCK - into : at + BLOCK);
		if (bytes[at] === 0 && bytes.compare(zeros, 0, end - at, at, end) === 0) {
			if (start < at) yield [start, at];
			start = end;
		}
		at = end;
	}
	if (start < bytes.length) yield [start, bytes.length];
}

const places = (): readonly string[] => {
	const { TMPDIR: chosen = "" } = process.env;
	return chosen === "" ? ["/var/tmp", tmpdir()] : [chosen];
};

function makeDirectory(candidates: readonly string[]): string {
	for (const [i, place] of candidates.entries()) {
		const isLast = i === candidates.length - 1;
		try {
			return mkdtempSync(join(place, "necromancer-core-"));
		} catch (cause) {
			const { code = "failed" } = cause as NodeJS.ErrnoException;
			if (isLast)
				refuse(
					"ERR_IO",
					{
						subject: place,
						finding: `a directory cannot be made there (${code})`,
						expectation: "expected room for the unpacked core",
						remedy: "set TMPDIR to a directory on a disk with room",
					},
					{ cause },
				);
		}
	}
	throw new RangeError("no place for a temporary file");
}

/**
 * Takes the directory away should this process end without having done so, however it ends. No handler of ours runs when a
 * signal kills, so somebody else has to see to it: a shell that waits for the end of a pipe only we hold.
 */
function guard(directory: string): { readonly release: () => void } {
	const remove = (): void => rmSync(directory, { recursive: true, force: true });
	process.once("exit", remove);
	const watcher = spawn("sh", ["-c", 'read -r line; rm -rf -- "$1"', "sh", directory], {
		stdio: ["pipe", "ignore", "ignore"],
		cwd: "/",
		detached: true,
	});
	// without a shell, what `exit` cannot do is left undone
	watcher.on("error", () => {});
	watcher.stdin.on("error", () => {});
	watcher.unref();
	(watcher.stdin as typeof watcher.stdin & { unref?: () => void }).unref?.();
	return {
		release: () => {
			process.off("exit", remove);
			// we do not end before it has: nobody is left behind, not even for a moment
			watcher.ref();
			watcher.kill("SIGKILL");
		},
	};
}

function attemptToWrite(name: string, directory: string, done: number, call: () => number): number {
	try {
		return call();
	} catch (cause) {
		const { code } = cause as NodeJS.ErrnoException;
		if (code !== "ENOSPC" && code !== "EDQUOT")
			return attemptWrite(name, () => {
				throw cause;
			});
		const { bavail, bsize } = statfsSync(directory, { bigint: true });
		return refuse(
			"ERR_IO",
			{
				subject: name,
				finding: `${directory} has no room for more than ${done} bytes of it (${bavail * bsize} bytes are free)`,
				expectation: "expected to unpack it there",
				remedy: "make room, or set TMPDIR to a directory that has it",
			},
			{ cause },
		);
	}
}
