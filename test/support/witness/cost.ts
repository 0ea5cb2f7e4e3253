import { spawn } from "node:child_process";
import { join, resolve } from "node:path";
import type { Readable } from "node:stream";
import { buffer } from "node:stream/consumers";

const main = join(resolve(import.meta.dirname, "../../.."), "dist/cli/main.js");

/**
 * Tells at the end how much memory the process had at its peak, in KiB, and the microseconds it worked, on descriptor 3. Not by
 * getrusage(2): its ru_maxrss counts what the process was before it became Node, a copy of this one with all its memory.
 */
const MEASURE =
	'import{readFileSync,writeSync}from"node:fs";process.on("exit",()=>{const{userCPUTime,systemCPUTime}=process.resourceUsage();const[,peak]=/VmHWM:\\s*(\\d+)/.exec(readFileSync("/proc/self/status","latin1"));writeSync(3,JSON.stringify([Number(peak),userCPUTime+systemCPUTime]))})';

export interface Cost {
	readonly status: number | null;
	/** The most memory that was resident, in MiB. */
	readonly mebibytes: number;
	/** Processor time, its threads' together: that of a wall depends on who else is at work. */
	readonly seconds: number;
	readonly err: string;
}

/** Runs `necromancer` with these arguments and says what it took. */
export async function costOf(args: readonly string[]): Promise<Cost> {
	const child = spawn(
		process.execPath,
		["--import", `data:text/javascript,${encodeURIComponent(MEASURE)}`, main, ...args],
		{
			stdio: ["ignore", "pipe", "pipe", "pipe"],
		},
	);
	const ended = new Promise<number | null>((done, fail) => {
		child.once("error", fail);
		child.once("close", done);
	});
	child.stdout?.resume();
	const [err, measured, status] = await Promise.all([
		buffer(child.stdio[2] as Readable),
		buffer(child.stdio[3] as Readable),
		ended,
	]);
	const [kibibytes = 0, microseconds = 0] = JSON.parse(measured.toString()) as number[];
	return { status, mebibytes: kibibytes / 1024, seconds: microseconds / 1e6, err: err.toString() };
}
