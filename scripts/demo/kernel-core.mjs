// The core that the kernel writes, where it writes one that we can read.
import { spawn } from "node:child_process";
import { closeSync, openSync, readdirSync, readFileSync, readSync } from "node:fs";
import { join } from "node:path";

/** Less than this is not worth a try: a core of Node has some hundred megabytes, most of them holes. */
const ROOM = 1n << 29n;

const readProc = (path) => readFileSync(path, "utf8").trim();

/** The setting that says where cores go (core(5)). Nobody here changes it. */
export const corePattern = () => readProc("/proc/sys/kernel/core_pattern");

/**
 * Why the kernel's core would not be ours to have; `undefined` when it is. We take none from where others' cores lie too.
 */
export function obstacle() {
	const pattern = corePattern();
	if (pattern === "") return "is empty: the kernel writes none";
	if (/^[|@]/.test(pattern)) return `is "${pattern}": the kernel hands cores to another program`;
	if (pattern.includes("/")) return `is "${pattern}": the kernel writes them to a place that all processes share`;
	const [, hard = "0"] = /^Max core file size\s+\S+\s+(\S+)/m.exec(readProc("/proc/self/limits")) ?? [];
	if (hard !== "unlimited" && BigInt(hard) < ROOM)
		return `leads to a file, but the limit on its size is ${hard} bytes (ulimit -H -c)`;
	return undefined;
}

/** Runs a program in `dir`, which is its own, so that the kernel dumps it when it dies. */
export function runDumped({ path, args, env }, dir) {
	const before = new Set(readdirSync(dir));
	const script = 'ulimit -S -c "$(ulimit -H -c)" && exec "$@"';
	const child = spawn("/bin/sh", ["-c", script, "sh", path, ...args], {
		...{ cwd: dir, env, stdio: "ignore" },
		// what the terminal sends is for us: we end it ourselves
		detached: true,
	});
	const ended = new Promise((done) => child.once("exit", (_, signal) => done(signal)));
	return {
		pid: child.pid,
		/** How it ended, and its core. */
		kill: async (signal) => {
			process.kill(child.pid, signal);
			const killedBy = await ended;
			const core = readdirSync(dir).find((name) => !before.has(name) && isCore(join(dir, name)));
			return { signal: killedBy, core: core && join(dir, core) };
		},
		close: async () => {
			child.kill("SIGKILL");
			await ended;
		},
	};
}

/** elf(5): an ELF file of type ET_CORE. */
function isCore(path) {
	try {
		const head = Buffer.alloc(18);
		const fd = openSync(path, "r");
		readSync(fd, head);
		closeSync(fd);
		return head.readUInt32BE(0) === 0x7f454c46 && head.readUInt16LE(16) === 4;
	} catch {
		return false;
	}
}
