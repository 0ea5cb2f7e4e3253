import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { refuse } from "../errors.ts";

/** Where the agent's standard streams lead. */
export type Streams = "inherit" | "ignore";

/**
 * Starts a program from its bytes. The file exists only for the moment: in a directory of mode 0700, gone when this
 * returns. Descriptors 3 and 4 are stream sockets. It has a session of its own, so that what a terminal sends to us does
 * not hit it: it ends when we do, and not before.
 *
 * @throws NecromancerError ERR_HOST where no directory lets programs run, or no process can be made.
 */
export async function launch(program: Uint8Array, streams: Streams, places = candidates()): Promise<ChildProcess> {
	const tried: string[] = [];
	for (const place of new Set(places)) {
		const child = await launchIn(place, program, streams);
		if (typeof child !== "string") return child;
		tried.push(`${place} (${child})`);
	}
	return refuse("ERR_HOST", {
		subject: "agent",
		finding: `cannot run from ${tried.join(", ")}`,
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

/** What another directory may be free of: noexec, read-only, full, missing. */
const elsewhere = ["EACCES", "EPERM", "EROFS", "ENOSPC", "EDQUOT", "ENOENT", "ENOTDIR", "EMFILE"];

/** The process, or the errno for which to try the next place. */
async function launchIn(place: string, program: Uint8Array, streams: Streams): Promise<ChildProcess | string> {
	let directory: string | undefined;
	try {
		directory = mkdtempSync(join(place, "necromancer-"));
		const file = join(directory, "agent");
		writeFileSync(file, program, { mode: 0o700, flag: "wx" });
		for (let attempt = 1; ; attempt += 1) {
			const child = spawn(file, [], {
				argv0: "necromancer-agent",
				env: {},
				stdio: [streams, streams, streams, "pipe", "pipe"],
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
		return unlessFinal((cause as NodeJS.ErrnoException).code, cause);
	} finally {
		if (directory !== undefined) rmSync(directory, { recursive: true, force: true });
	}
}

function unlessFinal(code: string | undefined, cause?: unknown): string {
	if (code === undefined) throw cause;
	if (elsewhere.includes(code)) return code;
	return refuse(
		"ERR_HOST",
		{ subject: "agent", finding: `cannot be started: ${code}`, expectation: "expected room for one more process" },
		{ cause },
	);
}
