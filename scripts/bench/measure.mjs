// Runs commands and measures them from outside.
import { spawn } from "node:child_process";

/** Thrown by a run after `stop`. */
export class StoppedError extends Error {}

let running;
let stopped = false;

/** Kills what runs; every later run fails. */
export const stop = () => {
	stopped = true;
	running?.kill("SIGKILL");
};

/** Runs a command with its output thrown away. Resolves to seconds of wall time, spawning included. */
export const seconds = async (command) => {
	if (typeof command === "function") return await command();
	const start = process.hrtime.bigint();
	await run(command);
	return Number(process.hrtime.bigint() - start) / 1e9;
};

/**
 * Peak resident memory of a run of a Node program, in MiB: VmHWM of its /proc/self/status, read as the last thing it does.
 * That is the kernel's own high-water mark of this program alone. (`ru_maxrss` is not: it starts with the memory of the
 * process that spawned it.)
 *
 * @param within makes of a command one that runs it somewhere else.
 */
export const peakMemory = async ([node, ...args], within = (command) => command) => {
	const hook = new URL("report-peak.mjs", import.meta.url).href;
	const told = await output(within([node, "--import", hook, ...args]));
	return Number(/VmHWM:\s*(\d+) kB/.exec(told)?.[1]) / 1024;
};

/**
 * Two commands in turn, A B A B …, so that a machine that grows slower slows both. `prepare` runs before each, outside of the
 * time. The first pair warms caches up and is not counted, unless it is the only one. With `start`, a third command in turn, `beyond` are the ratios
 * of what A takes longer than that.
 */
export async function pairs(count, a, b, { prepare = () => {}, start } = {}) {
	const ratios = [];
	const beyond = [];
	const timesOfA = [];
	const timesOfB = [];
	const warmUps = count > 1 ? 1 : 0;
	for (let i = 0; i < warmUps + count; i++) {
		await prepare();
		const timeOfA = await seconds(a);
		await prepare();
		const timeOfB = await seconds(b);
		if (start !== undefined) await prepare();
		const timeOfStart = start === undefined ? 0 : await seconds(start);
		if (i < warmUps) continue;
		ratios.push(timeOfA / timeOfB);
		beyond.push((timeOfA - timeOfStart) / timeOfB);
		timesOfA.push(timeOfA);
		timesOfB.push(timeOfB);
	}
	return {
		ratio: spread(ratios),
		...(start === undefined ? {} : { beyond: spread(beyond) }),
		seconds: spread(timesOfA),
		otherSeconds: spread(timesOfB),
	};
}

const spread = (values) => {
	const sorted = [...values].sort((x, y) => x - y);
	const middle = sorted.length >> 1;
	const median = sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
	return { min: sorted[0], median, max: sorted.at(-1) };
};

/** What a command writes to its descriptor 3. */
export const output = (command) => run(command, true);

export const run = ([program, ...args], reports = false) =>
	new Promise((resolve, reject) => {
		if (stopped) throw new StoppedError("interrupted");
		const child = spawn(program, args, { stdio: ["ignore", "ignore", "pipe", reports ? "pipe" : "ignore"] });
		running = child;
		let complaints = "";
		let report = "";
		child.stderr.on("data", (text) => {
			complaints += text;
		});
		child.stdio[3]?.on("data", (text) => {
			report += text;
		});
		child.once("error", reject);
		child.once(reports ? "close" : "exit", (status, signal) => {
			if (status === 0) resolve(report);
			else reject(new Error(`${complaints.trim()}\n(${[program, ...args].join(" ")} ended with ${signal ?? status})`));
		});
	});
