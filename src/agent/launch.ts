import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathOfDescriptor } from "../bytes/own-descriptor.ts";
import { closeOnce, usedUp } from "../bytes/source.ts";
import { NecromancerError, refuse } from "../errors.ts";
import { O } from "../linux/open.ts";
import { FIRST_INPUT_FD } from "../program/abi.ts";

/** Where the agent's standard streams lead. */
export type Streams = "inherit" | "ignore";

/**
 * Starts a program from its bytes: from an unnamed file (O_TMPFILE), which leaves nothing behind; where no directory supports
 * that, from a file in a directory of mode 0700 that is removed before this returns. Fds 3 and 4 are stream sockets, the
 * following ones are files of ours. It runs in a session of its own (setsid), so that signals from the terminal or the shell to
 * our process group do not reach it; or in ours, for jobs of it.
 *
 * @throws NecromancerError ERR_HOST where no directory lets programs run, or no process can be made.
 */
export async function launch(
	program: Uint8Array,
	streams: Streams,
	places = candidates(),
	inputs: readonly number[] = [],
	session: "own" | "callers" = "own",
): Promise<ChildProcess> {
	const tried = new Map<string, string>();
	for (const open of [openNameless, openNamed])
		for (const place of new Set(places)) {
			const child = await launchFrom(open, place, program, streams, inputs, session);
			if (typeof child !== "string") return child;
			tried.set(place, `${place} (${child})`);
		}
	return refuse("ERR_HOST", {
		subject: "agent",
		finding: `cannot run from ${[...tried.values()].join(", ")}`,
		expectation: "expected a directory that may hold programs",
		remedy: "set TMPDIR to one on a file system mounted without noexec",
	});
}

const candidates = (): readonly string[] => [
	tmpdir(),
	...[process.env["XDG_RUNTIME_DIR"] ?? ""].filter((path) => path !== ""),
	"/dev/shm",
	"/var/tmp",
];

/** Errors for which the next directory is tried: noexec, read-only, full, missing; EISDIR and EOPNOTSUPP mean no O_TMPFILE. */
const elsewhere = [
	...["EACCES", "EPERM", "EROFS", "ENOSPC", "EDQUOT", "ENOENT", "ENOTDIR"],
	...["EISDIR", "ENOTSUP", "EOPNOTSUPP", "EINVAL"],
];

/** A program that can be executed: nobody has it open for writing. */
interface Runnable {
	readonly fd: number;
	close(): void;
}

type Open = (place: string, program: Uint8Array) => Runnable;

const openNameless: Open = (place, program) =>
	runnable(openSync(place, O.TMPFILE | O.RDWR | O.CLOEXEC, 0o700), program);

/** Executed by its fd, not by name: whoever owns the directory could replace the name. */
const openNamed: Open = (place, program) => {
	const directory = mkdtempSync(join(place, "necromancer-"));
	const remove = (): void => rmSync(directory, { recursive: true, force: true });
	try {
		const flags = O.CREAT | O.EXCL | O.NOFOLLOW | O.WRONLY | O.CLOEXEC;
		const file = runnable(openSync(join(directory, "agent"), flags, 0o700), program);
		return {
			...file,
			close: () => {
				file.close();
				remove();
			},
		};
	} catch (cause) {
		remove();
		throw cause;
	}
};

/** @param writing closed here. */
function runnable(writing: number, program: Uint8Array): Runnable {
	try {
		writeFileSync(writing, program);
		const reading = openSync(pathOfDescriptor(writing), O.RDONLY | O.CLOEXEC);
		return { fd: reading, close: closeOnce(reading) };
	} finally {
		closeSync(writing);
	}
}

/** The process, or the errno for which to try the next place. */
async function launchFrom(
	open: Open,
	place: string,
	program: Uint8Array,
	streams: Streams,
	inputs: readonly number[],
	session: "own" | "callers",
): Promise<ChildProcess | string> {
	let file: Runnable | undefined;
	try {
		file = open(place, program);
		for (let attempt = 1; ; attempt += 1) {
			// under a number of its own, the first that the program has nothing under, whichever of ours its other files take
			const child = spawn(pathOfDescriptor(FIRST_INPUT_FD + inputs.length), [], {
				argv0: "necromancer-agent",
				env: {},
				stdio: [streams, streams, streams, "pipe", "pipe", ...inputs, file.fd],
				detached: session === "own",
			});
			// Only now is the file not needed any more: spawn() returns when exec has happened, or cannot.
			if (child.pid !== undefined) return child;
			const code = await new Promise<string>((done) => {
				child.once("error", (cause: NodeJS.ErrnoException) => done(cause.code ?? cause.message));
			});
			// folklore: ETXTBSY when another thread of Node forks at this moment: its child holds the fd open for writing until
			// its own exec.
			if (code === "ETXTBSY" && attempt < 10) continue;
			return unlessFinal(code);
		}
	} catch (cause) {
		if (cause instanceof NecromancerError) throw cause;
		return unlessFinal((cause as NodeJS.ErrnoException).code, cause);
	} finally {
		file?.close();
	}
}

function unlessFinal(code: string | undefined, cause?: unknown): string {
	if (code === undefined) throw cause;
	if (elsewhere.includes(code)) return code;
	const remedy = usedUp[code];
	if (remedy !== undefined)
		return refuse(
			"ERR_HOST",
			{
				subject: "agent",
				finding: `cannot be started: ${code}`,
				expectation: "expected a few descriptors to be free",
				remedy,
			},
			{ cause },
		);
	return refuse(
		"ERR_HOST",
		{ subject: "agent", finding: `cannot be started: ${code}`, expectation: "expected room for one more process" },
		{ cause },
	);
}
