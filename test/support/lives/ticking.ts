import { execFileSync } from "node:child_process";
import { copyFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** One that all may run: there may be others on PATH that only their owner may. */
const PYTHON = "/usr/bin/python3";

export type User = "root" | "an ordinary user";
export type Way = "raise CORE" | "raise CORE -i DONOR" | "-c CORE, restore" | "dump, restore";

export type TickingName =
	| "C with condition variables"
	| "python3"
	| "Node"
	| "C with relative waits"
	| "Node in its script"
	| "Go"
	| "Java";

interface Ticking {
	/** What it takes to make and run it. */
	readonly tools: readonly string[];
	/** Makes it in a directory that all may read; yields its command. */
	make(directory: string): readonly string[];
	/** Who of it tells of ticks. */
	readonly tickers: readonly string[];
	/** It never waits for a time, so that a core tells no clock but such as is still there: not one that went with it. */
	readonly silent?: boolean;
	/** No signal kills it with a core. */
	readonly gcore?: boolean;
}

export const users: readonly User[] = ["root", "an ordinary user"];
export const ways: readonly Way[] = ["raise CORE", "raise CORE -i DONOR", "-c CORE, restore", "dump, restore"];

/**
 * Programs that sleep again and again, most of them until a time, and tell of every tick how far CLOCK_MONOTONIC and CLOCK_BOOTTIME went
 * since the last, in milliseconds.
 */
export const ticking: Readonly<Record<TickingName, Ticking>> = {
	"C with condition variables": {
		tools: ["gcc"],
		tickers: ["clockwait", "timedwait", "nanosleep", "boottime", "semaphore", "timerfd"],
		make: (directory) => {
			const program = join(directory, "tick");
			execFileSync("gcc", ["-O1", "-w", "-pthread", "-o", program, sourceOf("tick.c")]);
			return [program];
		},
	},
	python3: {
		tools: [PYTHON],
		tickers: ["python3"],
		make: (directory) => [PYTHON, copied(directory, "tick.py")],
	},
	Node: {
		tools: [],
		tickers: ["node"],
		make: (directory) => [process.execPath, copied(directory, "tick.js")],
	},
	"C with relative waits": {
		tools: ["gcc"],
		tickers: ["relative"],
		silent: true,
		make: (directory) => {
			const program = join(directory, "relative");
			execFileSync("gcc", ["-O1", "-w", "-o", program, sourceOf("relative.c")]);
			return [program];
		},
	},
	"Node in its script": {
		tools: [],
		tickers: ["busy"],
		make: (directory) => [process.execPath, copied(directory, "busy.js")],
	},
	Go: {
		tools: ["go"],
		tickers: ["go"],
		gcore: true,
		make: (directory) => {
			const program = join(directory, "tick-go");
			execFileSync("go", ["build", "-o", program, sourceOf("tick.go")], {
				env: { ...process.env, CGO_ENABLED: "0", GO111MODULE: "off" },
			});
			return [program];
		},
	},
	Java: {
		tools: ["javac", "java"],
		tickers: ["java"],
		make: (directory) => {
			execFileSync("javac", ["-d", directory, sourceOf("Tick.java")]);
			return ["java", "-Xshare:off", "-XX:+UseSerialGC", "-Xmx32m", "-cp", directory, "Tick"];
		},
	},
};

const sourceOf = (name: string): string => fileURLToPath(new URL(`./ticking/${name}`, import.meta.url));

/** Where another user may read it. */
function copied(directory: string, name: string): string {
	const to = join(directory, name);
	copyFileSync(sourceOf(name), to);
	return to;
}
