import { execFileSync } from "node:child_process";
import { copyFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** One that all may run: there may be others on PATH that only their owner may. */
const PYTHON = "/usr/bin/python3";

export type User = "root" | "an ordinary user";
export type Way = "raise CORE" | "raise CORE -i DONOR" | "-c CORE, restore" | "dump, restore";

interface Ticking {
	/** What it takes to make and run it. */
	readonly tools: readonly string[];
	/** Makes it in a directory that all may read; yields its command. */
	make(directory: string): readonly string[];
	/** Who of it tells of ticks. */
	readonly names: readonly string[];
	/** For whom, and how, it is raised: what takes long, less often. */
	readonly users: readonly User[];
	readonly ways: readonly Way[];
	/** No signal kills it with a core. */
	readonly gcore?: boolean;
}

const everybody: readonly User[] = ["root", "an ordinary user"];
const everyWay: readonly Way[] = ["raise CORE", "raise CORE -i DONOR", "-c CORE, restore", "dump, restore"];

/** Programs that sleep until a time again and again, and tell of every tick how far their clock went since the last, in ms. */
export const ticking: Readonly<Record<string, Ticking>> = {
	"C with condition variables": {
		tools: ["gcc"],
		names: ["clockwait", "timedwait", "nanosleep", "semaphore", "timerfd"],
		users: everybody,
		ways: everyWay,
		make: (directory) => {
			const program = join(directory, "tick");
			execFileSync("gcc", ["-O1", "-w", "-pthread", "-o", program, sourceOf("tick.c")]);
			return [program];
		},
	},
	python3: {
		tools: [PYTHON],
		names: ["python3"],
		users: everybody,
		ways: everyWay,
		make: (directory) => [PYTHON, copied(directory, "tick.py")],
	},
	Node: {
		tools: [],
		names: ["node"],
		users: ["root"],
		ways: everyWay,
		make: (directory) => [process.execPath, copied(directory, "tick.js")],
	},
	Go: {
		tools: ["go"],
		names: ["go"],
		users: ["root"],
		ways: everyWay,
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
		names: ["java"],
		users: ["root"],
		ways: ["raise CORE", "dump, restore"],
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
