// The core that the kernel writes, where it writes one that we can read.
import { spawn } from "node:child_process";
import { accessSync, constants, readdirSync, readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";

/** Less than this is not worth a try: a core of Node has some hundred megabytes, most of them holes. */
const ROOM = 1n << 29n;

const readProc = (path) => readFileSync(path, "utf8").trim();

/** The setting that says where cores go (core(5)). Nobody here changes it. */
export const corePattern = () => readProc("/proc/sys/kernel/core_pattern");

/** Why the kernel's core would not be ours to have; `undefined` when it is, for a process that dies in `dir`. */
export function obstacle(dir) {
	const pattern = corePattern();
	if (pattern === "") return "is empty: the kernel writes none";
	if (/^[|@]/.test(pattern)) return `is "${pattern}": the kernel hands cores to another program`;
	const to = dirname(resolve(dir, pattern));
	if (to.includes("%")) return `is "${pattern}": the kernel writes them to directories that may not exist`;
	try {
		accessSync(to, constants.W_OK);
	} catch {
		return `is "${pattern}": we cannot write there`;
	}
	const [, hard = "0"] = /^Max core file size\s+\S+\s+(\S+)/m.exec(readProc("/proc/self/limits")) ?? [];
	if (hard !== "unlimited" && BigInt(hard) < ROOM)
		return `leads to a file, but the limit on its size is ${hard} bytes (ulimit -H -c)`;
	return undefined;
}

/** Runs a program in `dir` so that the kernel dumps it when it dies: the same shape as `runCaught` gives. */
export function runDumped({ path, args, env }, dir) {
	const to = dirname(resolve(dir, corePattern()));
	const before = new Set(readdirSync(to));
	const script = 'ulimit -S -c "$(ulimit -H -c)" && exec "$@"';
	const child = spawn("/bin/sh", ["-c", script, "sh", path, ...args], {
		cwd: dir,
		env,
		stdio: "ignore",
		detached: true,
	});
	const end = new Promise((done) => child.once("exit", (status, signal) => done({ status, signal })));
	return {
		pid: child.pid,
		kill: async (signal) => {
			process.kill(child.pid, signal);
			await end;
			return readdirSync(to)
				.filter((name) => !before.has(name))
				.map((name) => join(to, name));
		},
		close: async () => {
			child.kill("SIGKILL");
			await end;
		},
		end,
	};
}
