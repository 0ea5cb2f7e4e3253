import { spawnSync } from "node:child_process";
import { join, resolve } from "node:path";

const main = join(resolve(import.meta.dirname, "../.."), "dist/cli/main.js");

/** Tells at the end how much memory the process had at its peak, in KiB, on descriptor 3. */
const MEASURE =
	'import{writeSync}from"node:fs";process.on("exit",()=>writeSync(3,String(process.resourceUsage().maxRSS)))';

export interface Cost {
	readonly status: number | null;
	/** The most memory that was resident, in MiB. */
	readonly mebibytes: number;
	/** Bytes of stdout. */
	readonly out: number;
	readonly err: string;
}

/** Runs `necromancer` with these arguments and says what it took. */
export function costOf(args: readonly string[], input?: Buffer): Cost {
	const { status, output } = spawnSync(
		process.execPath,
		["--import", `data:text/javascript,${MEASURE}`, main, ...args],
		{ stdio: ["pipe", "pipe", "pipe", "pipe"], maxBuffer: 1 << 30, ...(input === undefined ? {} : { input }) },
	);
	const [, out, err, measured] = output;
	return {
		status,
		mebibytes: Number(measured) / 1024,
		out: out?.length ?? 0,
		err: err?.toString() ?? "",
	};
}
