import { spawn } from "node:child_process";
import { accessSync, constants, statSync } from "node:fs";
import { constants as os } from "node:os";
import { delimiter, join } from "node:path";
import { refuse } from "../errors.ts";

/**
 * Where gdb is, by $PATH.
 *
 * @throws NecromancerError ERR_HOST when it is nowhere. Call it before the process is made.
 */
export function findGdb(path: string | undefined): string {
	for (const dir of (path ?? "").split(delimiter)) {
		if (dir === "") continue;
		const file = join(dir, "gdb");
		try {
			accessSync(file, constants.X_OK);
			if (statSync(file).isFile()) return file;
		} catch {
			// not in this one
		}
	}
	return refuse("ERR_HOST", {
		subject: "gdb",
		finding: "is in no directory of PATH",
		expectation: "expected it for --gdb",
		remedy: "install gdb, or leave --gdb out and attach a debugger yourself",
	});
}

export interface GdbTarget {
	/** In our pid namespace. */
	readonly pid: number;
	/** /proc/PID/exe may be another file, or one that gdb may not open. */
	readonly executable: string;
	/** Where gdb looks for libraries: `--sysroot`, or `/` where the process has namespaces that gdb cannot enter. */
	readonly sysroot?: string;
}

/**
 * Makes gdb forget how the process was stopped.
 *
 * folklore: gdb that attaches to a stopped process sends it another SIGSTOP to learn of the stop (seen with gdb 13.1); each
 * thread then takes one when it first runs, and ends the first `call` with "received signal SIGSTOP".
 */
export const FORGET_STOP = "handle SIGSTOP nostop noprint nopass";

/** The command line that attaches gdb; the user's own arguments come last and win. */
export const gdbArguments = ({ pid, executable, sysroot }: GdbTarget, args: readonly string[]): readonly string[] => [
	"-iex",
	FORGET_STOP,
	...(sysroot === undefined ? [] : ["-iex", `set sysroot ${sysroot}`]),
	executable,
	"-p",
	String(pid),
	...args,
];

/** Keys that gdb answers itself: the terminal sends them to us too. */
const ANSWERED_BY_GDB = ["SIGINT", "SIGQUIT"] as const;

/** Signals forwarded to gdb, so that we can clean up after it. */
const ENDING = ["SIGTERM", "SIGHUP"] as const;

/**
 * Runs gdb on our terminal until it is quit.
 *
 * @returns its exit status, 128 + n when signal n ended it.
 */
export function runGdb(gdb: string, target: GdbTarget, args: readonly string[]): Promise<number> {
	const ignore = (): void => {};
	for (const signal of ANSWERED_BY_GDB) process.on(signal, ignore);
	const child = spawn(gdb, gdbArguments(target, args), { stdio: "inherit" });
	const passOn = (signal: NodeJS.Signals): void => void child.kill(signal);
	for (const signal of ENDING) process.on(signal, passOn);
	const ended = new Promise<number>((done, failed) => {
		child.on("error", failed);
		child.on("exit", (status, signal) => done(status ?? 128 + (signal === null ? 0 : os.signals[signal])));
	});
	return ended.finally(() => {
		for (const signal of ANSWERED_BY_GDB) process.off(signal, ignore);
		for (const signal of ENDING) process.off(signal, passOn);
	});
}
