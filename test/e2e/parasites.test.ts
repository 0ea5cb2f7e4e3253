import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import {
	chmodSync,
	copyFileSync,
	existsSync,
	mkdirSync,
	mkdtempSync,
	readdirSync,
	readFileSync,
	readlinkSync,
	rmSync,
	writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { gunzipSync } from "node:zlib";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { fixturePath } from "../support/builders/fixture-core.ts";
import { built } from "../support/lives/built.ts";
import { canHaveRooms, linesOf, openRoom, type Room } from "../support/lives/room.ts";
import { present } from "../support/present.ts";
import { hasGcc } from "../support/tools.ts";

// Parasites leave nothing. The program is killed for good, alone and with its whole process group, before, within and after
// every message to its agent and at every call that changes files; NECROMANCER_KILLS says at how many of those moments.

const KILLS = Number(process.env["NECROMANCER_KILLS"] ?? 40);

const able = canHaveRooms() && hasGcc();
const needs = able ? "" : " (needs root, unshare, nsenter and gcc)";

const directory = mkdtempSync(join(tmpdir(), "necromancer-parasites-"));
let dist = "";
beforeAll(() => {
	if (!able) return;
	dist = built();
	// another user's victim runs from here too
	chmodSync(directory, 0o755);
	for (const name of ["crowd", "still", "late-filter", "pages"]) {
		const source = resolve(import.meta.dirname, `../support/lives/${name}.c`);
		execFileSync("gcc", ["-w", "-O1", "-pthread", "-o", join(directory, name), source, "-lrt"]);
	}
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const rooms: Room[] = [];
afterEach(async () => {
	for (const opened of rooms.splice(0)) await opened.close();
});

interface Victim {
	readonly room: Room;
	readonly pid: number;
	readonly log: string;
	/** Its threads sleep: every register and every byte can be compared. */
	readonly sleeps: boolean;
}

let made = 0;
const fresh = (name: string): string => join(directory, `${name}-${++made}`);

async function victimOf(command: readonly string[], sleeps: boolean): Promise<Victim> {
	const room = await openRoom();
	rooms.push(room);
	const log = fresh("log");
	const script = `log=$1; shift; setsid "$@" </dev/null >"$log" 2>&1 & echo $!`;
	// the kernel writes the number of the processor into the areas of rseq
	const env = { GLIBC_TUNABLES: "glibc.pthread.rseq=0" };
	const { stdout } = room.run(["sh", "-c", script, "sh", log, ...command], env);
	await linesOf(log, 1);
	return { room, pid: Number(stdout), log, sleeps };
}

const read = ({ room, pid }: Victim, name: string): string => readFileSync(room.path(`/proc/${pid}/${name}`), "latin1");

/** All that must be as before. */
function photograph(victim: Victim): Record<string, string> {
	const { room, pid, sleeps } = victim;
	const seen: Record<string, string> = { maps: read(victim, "maps"), timers: read(victim, "timers") };
	for (const fd of readdirSync(room.path(`/proc/${pid}/fd`)))
		seen[`descriptor ${fd}`] =
			`${readlinkSync(room.path(`/proc/${pid}/fd/${fd}`))} ${sleeps ? read(victim, `fdinfo/${fd}`) : ""}`;
	for (const tid of readdirSync(room.path(`/proc/${pid}/task`))) {
		const status = read(victim, `task/${tid}/status`);
		const wanted = /^(?:Tracer|Sig(?!Q)|Shd|Threads|Cap|Uid).*$/gm;
		// the bits of a signal that is just being delivered come and go in those that are awake
		const masks = sleeps ? wanted : /^(?:Tracer|SigIgn|SigCgt|Threads|Cap|Uid).*$/gm;
		seen[`${tid} status`] = status.match(masks)?.join(" ") ?? "";
		if (!sleeps) continue;
		seen[`${tid} state`] = /^State:\t(\w)/m.exec(status)?.[1] ?? "";
		const [call = "", ...args] = read(victim, `task/${tid}/syscall`).trim().split(" ");
		// a call with a timeout goes on as restart_syscall, with the same arguments
		// folklore: PTRACE_SETSIGMASK forgets which mask sigsuspend has put in place; when the call goes on, it puts it there again
		if (call === "130") seen[`${tid} status`] = seen[`${tid} status`]?.replace(/SigBlk:\s+\w+/, "") ?? "";
		seen[`${tid} call`] = [["7", "35", "230", "219"].includes(call) ? "timed" : call, ...args].join(" ");
	}
	return seen;
}

async function until(holds: () => boolean): Promise<boolean> {
	for (const end = performance.now() + 20_000; performance.now() < end; await sleep(10)) if (holds()) return true;
	return holds();
}

const standsAsBefore = (victim: Victim, before: Record<string, string>): string[] => {
	const after = photograph(victim);
	return Object.keys({ ...before, ...after }).filter((what) => before[what] !== after[what]);
};

/** Runs the program, which ends itself at a moment; at moment 0 it comes to its end, and tells how many there are. */
async function run(
	room: Room,
	args: readonly string[],
	at: number,
	group: boolean,
): Promise<number | "killed" | "not reached"> {
	const [, init = ""] = /^\/proc\/(\d+)\//.exec(room.path("/")) ?? [];
	const count = fresh("count");
	const hook = resolve(import.meta.dirname, "../support/faults/kill-at.mjs");
	const command = [process.execPath, "--import", hook, join(dist, "cli/main.js"), ...args];
	const child = spawn("nsenter", [`--target=${init}`, "--mount", "--pid", "--", "setsid", ...command], {
		stdio: ["ignore", "pipe", "pipe"],
		env: {
			...process.env,
			...{ NO_COLOR: "1", NODE_V8_COVERAGE: "", TMPDIR: room.temporary },
			...{ KILL_AT: `${at}`, KILL_MESSAGES: "1", KILL_COUNT: count, KILL_GROUP: group ? "1" : "" },
		},
	});
	const said: Buffer[] = [];
	for (const stream of [child.stdout, child.stderr]) stream.on("data", (bytes: Buffer) => said.push(bytes));
	// its streams stay open as long as somebody has them
	const [status, signal] = (await once(child, "exit")) as [number | null, string | null];
	if (signal === "SIGKILL" || status === 137) return "killed";
	const text = Buffer.concat(said).toString();
	expect({ status, said: at === 0 ? "" : text }, text).toEqual({ status: 0, said: "" });
	return at === 0 ? Number(readFileSync(count, "utf8")) : "not reached";
}

/** So many moments of `of`, from the first to the last. */
const spread = (of: number, many: number): number[] => [
	...new Set(Array.from({ length: many }, (_, i) => 1 + Math.floor((i * (of - 1)) / Math.max(1, many - 1)))),
];

describe.skipIf(!able)(`a process whose dump is killed${needs}`, () => {
	interface Kind {
		readonly command: readonly string[];
		readonly sleeps?: boolean;
		readonly stopped?: boolean;
		readonly threads?: number;
		/** The directory for its images is there. */
		readonly there?: boolean;
	}
	const [still, pages] = [join(directory, "still"), join(directory, "pages")];
	const kinds: readonly [string, Kind][] = [
		["sleeps in all kinds of calls", { command: [still], sleeps: true }],
		["has 30 busy threads", { command: [join(directory, "crowd"), "30", "20"] }],
		["is stopped by job control", { command: [still], sleeps: true, stopped: true }],
		[
			"belongs to another user",
			{ command: ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", still], sleeps: true },
		],
		["is dumped into a directory that is there", { command: [still], sleeps: true, there: true }],
		["hands over its pages by a pipe", { command: [pages], sleeps: true, threads: 1 }],
		["hands them over into a directory that is there", { command: [pages], sleeps: true, threads: 1, there: true }],
	];

	it.each(kinds)(
		"is as before, and nothing is left anywhere, where it %s",
		async (_, { command, sleeps = false, stopped = false, threads = 7, there = false }) => {
			const victim = await victimOf(command, sleeps);
			const { room, pid, log } = victim;
			if (sleeps) expect(await until(() => readdirSync(room.path(`/proc/${pid}/task`)).length === threads)).toBe(true);
			if (stopped) room.run(["kill", "-STOP", `${pid}`]);
			await sleep(200);
			const before = photograph(victim);
			const parent = fresh("parent");
			const images = join(parent, "images");
			const clear = (): void => {
				rmSync(parent, { recursive: true, force: true });
				mkdirSync(parent);
				if (there) mkdirSync(images);
			};
			clear();
			const dump = (at: number, group: boolean) => {
				return run(room, ["dump", "-t", `${pid}`, "-i", images, "-R", "-q"], at, group);
			};
			const moments = Number(await dump(0, false));
			const whole = readdirSync(images);
			clear();
			expect(moments).toBeGreaterThan(150);
			let killed = 0;
			for (const group of [false, true])
				for (const at of spread(moments, Math.ceil(KILLS / kinds.length / (group ? 3 : 1)))) {
					if ((await dump(at, group)) === "killed") killed++;
					const when = `killed at moment ${at} of ${moments}${group ? ", with its group" : ""}`;
					await until(() => room.pids().length === 1);
					expect(room.pids(), when).toEqual([pid]);
					await until(() => standsAsBefore(victim, before).length === 0);
					expect(standsAsBefore(victim, before), when).toEqual([]);
					expect(readdirSync(room.temporary), when).toEqual([]);
					// all of the images, if what was left to do could be done without it
					for (const name of readdirSync(parent)) expect(name, when).toBe("images");
					expect(there ? readdirSync(parent) : ["images"], when).toEqual(["images"]);
					for (const name of readdirSync(parent)) {
						const files = readdirSync(join(parent, name));
						expect([[], whole].slice(there ? 0 : 1), when).toContainEqual(files);
					}
					clear();
				}
			// busy threads take more messages in one dump and fewer in the next: not every moment comes
			expect(killed).toBeGreaterThan(KILLS / kinds.length / 2);
			if (stopped) room.run(["kill", "-CONT", `${pid}`]);
			const said = readFileSync(log, "utf8").split("\n").length - 1;
			// a call that ended says so, and is the end
			if (!sleeps) expect((await linesOf(log, said + 2)).length).toBeGreaterThan(said + 1);
			else expect([said, room.pids()]).toEqual([1, [pid]]);
		},
		1_200_000,
	);
});

describe.skipIf(!able)(`a process that locks itself in${needs}`, () => {
	it("after it was looked over is let go on before anything is done in it", async () => {
		const { room, pid, log } = await victimOf([join(directory, "late-filter")], true);
		const hook = resolve(import.meta.dirname, "../support/faults/late-filter.mjs");
		const images = fresh("images");
		const command = [join(dist, "cli/main.js"), "dump", "-t", `${pid}`, "-i", images, "-R"];
		expect(room.run([process.execPath, "--import", hook, ...command], { LATE_FILTER: `${pid}` })).toEqual({
			status: 6,
			stdout: "",
			stderr: `necromancer: thread ${pid}: runs under seccomp filters, expected neither: they cannot be dumped yet; start it without its sandbox [ERR_UNSUPPORTED]\n`,
		});
		expect([room.pids(), existsSync(images), readdirSync(room.temporary)]).toEqual([[pid], false, []]);
		room.run(["kill", "-USR1", `${pid}`]);
		expect(await linesOf(log, 2)).toEqual(["ready", "alive"]);
	});
});

describe.skipIf(!able)(`a restore or a raise that is killed${needs}`, () => {
	const fixture = "counter-static";

	/** What makes a process in a room, and the one that it makes. */
	interface Making {
		readonly args: readonly string[];
		readonly namespace?: boolean;
	}
	const restoring = async (...options: string[]): Promise<Making> => {
		const { room, pid } = await victimOf([join(directory, "still")], true);
		const images = fresh("images");
		expect(
			room.run([process.execPath, join(dist, "cli/main.js"), "dump", "-t", `${pid}`, "-i", images, "-q"]).status,
		).toBe(0);
		expect(await until(() => room.pids().length === 0)).toBe(true);
		return {
			args: ["restore", "-d", "-i", images, "-v0", ...options],
			namespace: options.includes("--pid-namespace"),
		};
	};
	const raising = async (core: (path: string) => void, ...options: string[]): Promise<Making> => {
		const room = await openRoom();
		rooms.push(room);
		room.putLog(fixture);
		const path = fresh("core");
		core(path);
		return { args: ["raise", "--trust", "-q", ...options, path] };
	};
	const packed = (path: string): void => copyFileSync(fixturePath(`${fixture}/core.gz`), path);
	const plain = (path: string): void =>
		writeFileSync(path, gunzipSync(readFileSync(fixturePath(`${fixture}/core.gz`))));

	it.each<[string, () => Promise<Making>]>([
		["restore with the same ids", () => restoring()],
		["restore in a pid namespace", () => restoring("--pid-namespace")],
		["restore without ptrace", () => restoring("--no-ptrace")],
		["raise a core", () => raising(plain)],
		[
			"raise a packed core with a donor, and let it go on",
			() => raising(packed, "--run", "-i", fixturePath(`${fixture}/images`)),
		],
		["raise a packed core to live on its copy", () => raising(packed, "--lazy")],
	])(
		"leaves nothing, or all of the process: %s",
		async (_, prepare) => {
			const { args, namespace = false } = await prepare();
			const room = present(rooms.at(-1));
			const making = (at: number, group: boolean) => run(room, args, at, group);
			const end = async (): Promise<void> => {
				for (const one of room.pids()) room.run(["kill", "-KILL", `${one}`]);
				expect(await until(() => room.pids().length === 0)).toBe(true);
			};
			/** Where its mappings are, with their rights; its first process in a namespace of its own, and what ends meanwhile, have none. */
			const shapes = (): string[] =>
				room.pids().map((one) => {
					try {
						return readFileSync(room.path(`/proc/${one}/maps`), "latin1").replace(/^(\S+ \S+).*$/gm, "$1");
					} catch {
						return "";
					}
				});
			const moments = Number(await making(0, false));
			const whole = shapes();
			expect(whole).toHaveLength(namespace ? 2 : 1);
			await end();
			for (const group of [false, true])
				for (const at of spread(moments, Math.ceil(KILLS / (group ? 16 : 8)))) {
					await making(at, group);
					const when = `killed at moment ${at} of ${moments}${group ? ", with its group" : ""}`;
					await until(() => [0, whole.length].includes(room.pids().length));
					await sleep(50);
					expect([[], whole], when).toContainEqual(shapes());
					for (const one of room.pids())
						expect(readFileSync(room.path(`/proc/${one}/status`), "latin1"), when).toMatch(/^TracerPid:\t0$/m);
					expect(readdirSync(room.temporary), when).toEqual([]);
					await end();
				}
		},
		1_200_000,
	);

	it("at any other moment", async () => {
		await raising(packed);
		const room = present(rooms.at(-1));
		const core = fresh("core");
		packed(core);
		const [, init = ""] = /^\/proc\/(\d+)\//.exec(room.path("/")) ?? [];
		const command = [process.execPath, join(dist, "cli/main.js"), "raise", "--trust", "-q", core];
		for (let i = 0; i < Math.ceil(KILLS / 4); i++) {
			const child = spawn("nsenter", [`--target=${init}`, "--mount", "--pid", "--", "setsid", ...command], {
				stdio: "ignore",
				env: { ...process.env, TMPDIR: room.temporary },
			});
			const over = once(child, "exit");
			// the moment is not for us to choose; each is another
			await sleep(150 + Math.random() * 500);
			const driver = room.pids().find((one) => room.run(["cat", `/proc/${one}/comm`]).stdout.startsWith("node"));
			if (driver !== undefined) room.run(["kill", "-KILL", `${driver}`]);
			await over;
			await until(() => room.pids().length <= 1);
			await sleep(50);
			for (const one of room.pids())
				expect(readFileSync(room.path(`/proc/${one}/status`), "latin1")).toMatch(
					/^State:\tT.*\n(?:.*\n)*?TracerPid:\t0$/m,
				);
			expect(readdirSync(room.temporary)).toEqual([]);
			for (const one of room.pids()) room.run(["kill", "-KILL", `${one}`]);
			expect(await until(() => room.pids().length === 0)).toBe(true);
		}
	}, 1_200_000);
});
