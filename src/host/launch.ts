import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { closeOnce, usedUp } from "../bytes/source.ts";
import { NecromancerError, refuse } from "../errors.ts";
import { O } from "../linux/open.ts";
import { FIRST_INPUT_FD } from "../plan/abi.ts";

/** Where the agent's standard streams lead. */
export type Streams = "inherit" | "ignore";

/**
 * Starts a program from its bytes: from a file without a name (O_TMPFILE), of which nothing can stay; where no place takes
 * one, from a file in a directory of mode 0700, gone when this returns. Descriptors 3 and 4 are stream sockets, those
 * that follow are files of ours. It has a session of its own, so that what a terminal or a shell sends to us and our group does not hit it.
 *
 * @throws NecromancerError ERR_HOST where no directory lets programs run, or no process can be made.
 */
export async function launch(
	program: Uint8Array,
	streams: Streams,
	places = candidates(),
	inputs: readonly number[] = [],
): Promise<ChildProcess> {
	const tried = new Map<string, string>();
	for (const open of [openNameless, openNamed])
		for (const place of new Set(places)) {
			const child = await launchFrom(open, place, program, streams, inputs);
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

/** What another directory may be free of: noexec, read-only, full, missing; EISDIR and EOPNOTSUPP: it takes no nameless files. */
const elsewhere = [
	...["EACCES", "EPERM", "EROFS", "ENOSPC", "EDQUOT", "ENOENT", "ENOTDIR"],
	...["EISDIR", "ENOTSUP", "EOPNOTSUPP", "EINVAL"],
];

/** A program as spawn() takes it; nobody has it open for writing. */
interface Runnable {
	/** @param number The first that the program has nothing under: there its own file will be open, where it has no name. */
	path(number: number): string;
	readonly fd?: number;
	close(): void;
}

type Open = (place: string, program: Uint8Array) => Runnable;

const openNameless: Open = (place, program) => {
	const writing = openSync(place, O.TMPFILE | O.RDWR | O.CLOEXEC, 0o700);
	let reading: number;
	try {
		writeFileSync(writing, program);
		reading = openSync(`/proc/self/fd/${writing}`, O.RDONLY | O.CLOEXEC);
	} finally {
		closeSync(writing);
	}
	// what is spawned has it under a number of its own, whichever of ours its other files take
	return { path: (number) => `/proc/self/fd/${number}`, fd: reading, close: closeOnce(reading) };
};

const openNamed: Open = (place, program) => {
	const directory = mkdtempSync(join(place, "necromancer-"));
	const close = (): void => rmSync(directory, { recursive: true, force: true });
	try {
		const path = join(directory, "agent");
		writeFileSync(path, program, { mode: 0o700, flag: "wx" });
		return { path: () => path, close };
	} catch (cause) {
		close();
		throw cause;
	}
};

/** The process, or the errno for which to try the next place. */
async function launchFrom(
	open: Open,
	place: string,
	program: Uint8Array,
	streams: Streams,
	inputs: readonly number[],
): Promise<ChildProcess | string> {
	let file: Runnable | undefined;
	try {
		file = open(place, program);
		for (let attempt = 1; ; attempt += 1) {
			const own = file.fd === undefined ? [] : [file.fd];
			const child = spawn(file.path(FIRST_INPUT_FD + inputs.length), [], {
				argv0: "necromancer-agent",
				env: {},
				stdio: [streams, streams, streams, "pipe", "pipe", ...inputs, ...own],
				detached: true,
			});
			// Only now is the file not needed any more: spawn() returns when exec has happened, or cannot.
			if (child.pid !== undefined) return child;
			const code = await new Promise<string>((done) => {
				child.once("error", (cause: NodeJS.ErrnoException) => done(cause.code ?? cause.message));
			});
			// folklore: a process that another thread forks just now holds the file open for writing until its own exec.
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
