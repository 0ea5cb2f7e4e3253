import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import {
	closeSync,
	mkdirSync,
	mkdtempSync,
	openSync,
	readdirSync,
	readFileSync,
	readSync,
	rmSync,
	statSync,
	writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { fixtureCore, fixtureText } from "../support/builders/fixture-core.ts";
import { built } from "../support/lives/built.ts";
import { canHaveRooms, linesOf, openRoom, type Ran, type Room } from "../support/lives/room.ts";
import { saidRestored } from "../support/lives/said-restored.ts";
import { hasGcc, hasTool } from "../support/tools.ts";

// Living processes that are dumped: as a user does it, each in namespaces of its own.

const able = canHaveRooms();
const gcc = hasGcc();
const needs = able ? "" : " (needs root, unshare and nsenter)";
const needsGcc = gcc ? needs : `${needs} (needs gcc)`;

const directory = mkdtempSync(join(tmpdir(), "necromancer-dump-"));
let dist = "";
beforeAll(() => {
	dist = built();
	if (!gcc) return;
	for (const name of ["kinds", "crowd", "still"]) {
		const source = resolve(import.meta.dirname, `../support/lives/${name}.c`);
		execFileSync("gcc", ["-w", "-O1", "-pthread", "-o", join(directory, name), source, "-lrt"]);
	}
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const rooms: Room[] = [];
async function room(): Promise<Room> {
	const opened = await openRoom();
	rooms.push(opened);
	return opened;
}
afterEach(async () => {
	for (const opened of rooms.splice(0)) await opened.close();
});

let made = 0;
/** A path in the test's directory that nobody has used. */
const fresh = (name: string): string => join(directory, `${name}-${++made}`);

const necromancer = (where: Room, args: readonly string[], env: Record<string, string> = {}): Ran =>
	where.run([process.execPath, join(dist, "cli/main.js"), ...args], env);

interface Started {
	readonly pid: number;
	readonly log: string;
}

/** A process of the room that nobody waits for, with a log of what it says. */
function start(where: Room, command: readonly string[], env: Record<string, string> = {}): Started {
	const log = fresh("log");
	const script = `log=$1; shift; setsid "$@" </dev/null >"$log" 2>&1 & echo $!`;
	const { stdout } = where.run(["sh", "-c", script, "sh", log, ...command], env);
	return { pid: Number(stdout), log };
}

const started = async (where: Room, command: readonly string[], env: Record<string, string> = {}): Promise<Started> => {
	const process = start(where, command, env);
	await linesOf(process.log, 1);
	return process;
};

const read = (where: Room, { pid }: Started, name: string): string =>
	readFileSync(where.path(`/proc/${pid}/${name}`), "latin1");
const stateOf = (where: Room, process: Started): string | undefined =>
	/^State:\t(\w)/m.exec(read(where, process, "status"))?.[1];
const tracerOf = (where: Room, process: Started): string | undefined =>
	/^TracerPid:\t(\d+)/m.exec(read(where, process, "status"))?.[1];
const threadsOf = (where: Room, { pid }: Started): string[] => readdirSync(where.path(`/proc/${pid}/task`));

const said = ({ log }: Started): string[] => readFileSync(log, "utf8").split("\n").slice(0, -1);

/** What a process says beyond what it has said so far. */
async function more(process: Started, count: number): Promise<string[]> {
	const before = said(process).length;
	return (await linesOf(process.log, before + count)).slice(before, before + count);
}

async function until(holds: () => boolean): Promise<boolean> {
	for (const end = performance.now() + 10_000; performance.now() < end; await sleep(10)) if (holds()) return true;
	return holds();
}

/** Dumps a process, which ends with that, and brings it back. */
async function revive(where: Room, process: Started): Promise<void> {
	const images = fresh("images");
	const dumped = necromancer(where, ["dump", "-t", `${process.pid}`, "-i", images, "-q"]);
	expect(dumped).toEqual({ status: 0, stdout: "", stderr: "" });
	expect(await until(() => where.pids().length === 0)).toBe(true);
	expect(statSync(images).mode & 0o777).toBe(0o700);
	for (const name of readdirSync(images)) expect(statSync(join(images, name)).mode & 0o777).toBe(0o600);
	const { status, stderr } = necromancer(where, ["restore", "-d", "-i", images]);
	expect({ status, stderr }).toEqual({ status: 0, stderr: saidRestored(`${process.pid}`) });
	expect(readdirSync(where.temporary)).toEqual([]);
}

describe.skipIf(!able)(`a dumped process goes on${needs}`, () => {
	it("node, with a file and a timer in the air", async () => {
		const where = await room();
		const script = fresh("script.cjs");
		writeFileSync(
			script,
			`let n = 0; const seed = Math.random(); const many = new Map();
			setInterval(() => require("node:fs").readFile(__filename, (error, bytes) => {
				many.set(n, bytes.length); console.log(n++, seed, many.size, error);
			}), 50);`,
		);
		const node = await started(where, [process.execPath, script]);
		const [first = ""] = said(node);
		await revive(where, node);
		const seed = first.split(" ")[1];
		const before = said(node).length;
		expect(await more(node, 3)).toEqual([0, 1, 2].map((i) => `${before + i} ${seed} ${before + i + 1} null`));
	});

	it("threads of a fixture, asleep in read, epoll, a semaphore and a condition", async () => {
		const where = await room();
		const threads = await started(where, ["/opt/victims/bin/threads", "/dev/stdout"]);
		await revive(where, threads);
		for (const line of await more(threads, 3)) expect(line).toMatch(/^round \d+ seed \w+ answers right$/);
	});
});

describe.skipIf(!able || !gcc)(`a dumped process has what it had${needsGcc}`, () => {
	it("pipes and their bytes, counters, timers, offsets, owners, mappings of all kinds; twice in a row", async () => {
		const where = await room();
		const files = fresh("files");
		mkdirSync(files);
		const kinds = await started(where, [join(directory, "kinds"), files]);
		for (let life = 1; life <= 2; life++) {
			await revive(where, kinds);
			for (const line of await more(kinds, 3)) expect(line).toMatch(/^\d+ right$/);
		}
	});

	it("200 threads with names, alternate stacks and thread-local values, and 1000 mappings", async () => {
		const where = await room();
		const crowd = await started(where, [join(directory, "crowd"), "200", "500"]);
		await revive(where, crowd);
		expect(threadsOf(where, crowd)).toHaveLength(201);
		for (const line of await more(crowd, 3)) expect(line).toMatch(/^\d+ 200 200$/);
	});

	it("its stop, where job control had stopped it", async () => {
		const where = await room();
		const crowd = await started(where, [join(directory, "crowd"), "3", "2"]);
		where.run(["kill", "-STOP", `${crowd.pid}`]);
		expect(await until(() => stateOf(where, crowd) === "T")).toBe(true);
		const maps = read(where, crowd, "maps");
		const running = necromancer(where, ["dump", "-t", `${crowd.pid}`, "-i", fresh("images"), "-R", "-q"]);
		expect(running).toEqual({ status: 0, stdout: "", stderr: "" });
		expect([stateOf(where, crowd), tracerOf(where, crowd)]).toEqual(["T", "0"]);
		expect(read(where, crowd, "maps")).toBe(maps);
		await revive(where, crowd);
		expect(await until(() => stateOf(where, crowd) === "T")).toBe(true);
		where.run(["kill", "-CONT", `${crowd.pid}`]);
		for (const line of await more(crowd, 2)) expect(line).toMatch(/^\d+ 3 3$/);
	});
});

/** All that /proc tells of a process whose threads sleep, and the bytes of its private writable memory. */
function photograph(where: Room, process: Started): Record<string, string> {
	const seen: Record<string, string> = {};
	for (const tid of threadsOf(where, process)) {
		const [call = "", ...args] = read(where, process, `task/${tid}/syscall`).trim().split(" ");
		// a call with a timeout goes on as restart_syscall, with the same arguments
		seen[`${tid} call`] = [["7", "35", "230", "219"].includes(call) ? "timed" : call, ...args].join(" ");
		const status = read(where, process, `task/${tid}/status`);
		// SigQ counts what is queued for all processes of the user
		seen[`${tid} status`] =
			/^State.*$|^Sig(?!Q).*$|^Shd.*$|^Cap.*$|^Tracer.*$/gm[Symbol.match](status)?.join(" ") ?? "";
		seen[`${tid} name`] = read(where, process, `task/${tid}/comm`);
	}
	for (const name of ["maps", "auxv", "cmdline", "limits", "timers", "oom_score_adj"])
		seen[name] = read(where, process, name);
	return { ...seen, ...pagesOf(where, process) };
}

/** The bytes of every page of private writable memory, by address. */
function pagesOf(where: Room, process: Started): Record<string, string> {
	const pages: Record<string, string> = {};
	const fd = openSync(where.path(`/proc/${process.pid}/mem`), "r");
	try {
		for (const [, from, to] of read(where, process, "maps").matchAll(/^(\w+)-(\w+) rw.p/gm)) {
			const page = Buffer.alloc(4096);
			for (let at = BigInt(`0x${from}`); at < BigInt(`0x${to}`); at += 4096n) {
				readSync(fd, page, 0, page.length, at);
				if (!page.equals(zeros)) pages[at.toString(16)] = page.toString("base64");
			}
		}
	} finally {
		closeSync(fd);
	}
	return pages;
}

const zeros = Buffer.alloc(4096);

describe.skipIf(!able || !gcc)(`a process that is left running${needsGcc}`, () => {
	it("shows nothing of it: memory, mappings, masks, calls and their arguments are as before", async () => {
		const where = await room();
		// the kernel writes the number of the processor into the areas of rseq
		const env = { GLIBC_TUNABLES: "glibc.pthread.rseq=0" };
		const still = await started(where, [join(directory, "still")], env);
		expect(await until(() => threadsOf(where, still).length === 7 && photographable(where, still))).toBe(true);
		const before = photograph(where, still);
		for (let i = 0; i < 2; i++) {
			const { status, stdout } = necromancer(where, ["dump", "-t", `${still.pid}`, "-i", fresh("images"), "-R"]);
			expect(status).toBe(0);
			expect(stdout).toMatch(
				/^dumped still \(pid \d+, 7 threads, \d+ mappings, [\d.]+[KM]\) to .*; it stood still for \d+ ms and goes on\n/m,
			);
			// the threads are on their way back to sleep
			const changed = (): string[] => {
				const after = photograph(where, still);
				return Object.keys({ ...before, ...after }).filter((what) => before[what] !== after[what]);
			};
			await until(() => changed().length === 0);
			expect(changed()).toEqual([]);
		}
		expect(said(still)).toHaveLength(1);
	});

	const photographable = (where: Room, process: Started): boolean =>
		threadsOf(where, process).every((tid) => /^\d/.test(read(where, process, `task/${tid}/syscall`)));

	it("has its registers, of the x87 and the vectors too", async () => {
		const where = await room();
		const still = await started(where, [join(directory, "still"), "and run"]);
		const counter = BigInt(said(still)[0] ?? 0);
		const count = (): bigint => {
			const fd = openSync(where.path(`/proc/${still.pid}/mem`), "r");
			const bytes = Buffer.alloc(8);
			readSync(fd, bytes, 0, 8, counter);
			closeSync(fd);
			return bytes.readBigUInt64LE();
		};
		for (let i = 0; i < 3; i++) {
			expect(necromancer(where, ["dump", "-t", `${still.pid}`, "-i", fresh("images"), "-R", "-q"]).status).toBe(0);
			const before = count();
			expect(await until(() => count() > before)).toBe(true);
		}
		expect(said(still)).toHaveLength(1);
	});

	it("is stopped when that is asked for", async () => {
		const where = await room();
		const crowd = await started(where, [join(directory, "crowd"), "2", "0"]);
		const { stdout } = necromancer(where, ["dump", "-t", `${crowd.pid}`, "-D", fresh("images"), "-s"]);
		expect(stdout).toContain(`is stopped: kill -CONT ${crowd.pid} lets it go on`);
		expect(await until(() => stateOf(where, crowd) === "T")).toBe(true);
		where.run(["kill", "-CONT", `${crowd.pid}`]);
		expect(await more(crowd, 2)).toHaveLength(2);
	});
});

describe.skipIf(!able || !gcc)(`a dump that comes to nothing${needsGcc}`, () => {
	/** Starts a dump: its id in the room, and how it ends. */
	async function begin(where: Room, { pid }: Started, images: string, ...options: readonly string[]) {
		const [, init = ""] = /^\/proc\/(\d+)\//.exec(where.path("/")) ?? [];
		const command = [process.execPath, join(dist, "cli/main.js"), "dump", "-t", `${pid}`, "-i", images, ...options];
		const args = [`--target=${init}`, "--mount", "--pid", "--", "sh", "-c", 'echo $$; exec "$@"', "sh", ...command];
		const env = { ...process.env, TMPDIR: where.temporary };
		const child = spawn("nsenter", args, { stdio: ["ignore", "pipe", "ignore"], env });
		const ended = once(child, "close") as Promise<[number | null, string | null]>;
		const [id] = (await once(child.stdout, "data")) as [Buffer];
		return { id: `${Number(id)}`, ended };
	}

	it("leaves the process as it was, at whatever moment the program is killed", async () => {
		const where = await room();
		const crowd = await started(where, [join(directory, "crowd"), "30", "200"]);
		let killed = 0;
		for (let after = 60; after < 240; after += 30) {
			const dump = await begin(where, crowd, fresh("images"), "-R");
			await sleep(after);
			where.run(["kill", "-KILL", dump.id]);
			const [status, signal] = await dump.ended;
			if (status === 137 || signal === "SIGKILL") killed++;
			expect(await until(() => tracerOf(where, crowd) === "0")).toBe(true);
			expect(await more(crowd, 2), `killed after ${after} ms`).toHaveLength(2);
		}
		expect(killed).toBeGreaterThan(0);
	});

	it("leaves no images and the process running when it is told to end", async () => {
		const where = await room();
		const script = fresh("script.cjs");
		const line = `const much = Buffer.alloc(300 << 20, 7); let n = 0; setInterval(() => console.log(n++, much[n]), 20);`;
		writeFileSync(script, line);
		const node = await started(where, [process.execPath, script]);
		const parent = fresh("parent");
		mkdirSync(parent);
		const dump = await begin(where, node, join(parent, "images"));
		// while it writes: what will be the directory is there
		expect(await until(() => readdirSync(parent).length > 0)).toBe(true);
		where.run(["kill", "-TERM", dump.id]);
		const [status, signal] = await dump.ended;
		expect(signal ?? status).toSatisfy((how: unknown) => how === "SIGTERM" || how === 143);
		expect(readdirSync(parent)).toEqual([]);
		expect(await until(() => tracerOf(where, node) === "0")).toBe(true);
		expect(await more(node, 3)).toHaveLength(3);
	});
});

describe.skipIf(!able)(`a donor without memory${needs}`, () => {
	it("lends the dead what a core does not tell", async () => {
		const where = await room();
		where.putLog("counter-static");
		const log = "/opt/victims/run/counter-static/log";
		const donor = start(where, ["/opt/victims/bin/counter-static", log]);
		const lines = fixtureText("counter-static", "dead.log").trim().split("\n").length;
		await linesOf(where.path(log), lines + 1);
		const images = fresh("images");
		const dumped = necromancer(where, ["dump", "-t", `${donor.pid}`, "-i", images, "--no-pages", "--json"]);
		expect(JSON.parse(dumped.stdout)).toMatchObject({ kind: "dump", pid: donor.pid, bytes: 0, process: "ended" });
		// zeros in the place of its stacks would be killed at once, and write their core over the one that was to be raised
		for (const verb of ["restore", "plan"])
			expect(necromancer(where, [verb, "-i", images])).toEqual({
				status: 4,
				stdout: "",
				stderr: `necromancer: ${images}: holds no memory of process ${donor.pid}, expected more than a donor (dump --no-pages); give it the memory of a core first (necromancer -c CORE -i DIR), or raise that core with it (necromancer raise CORE -i DIR) [ERR_IMAGE_MISSING]\n`,
			});
		expect(necromancer(where, ["show", images]).stdout).toMatch(/^mappings .* left out of these images\)$/m);
		where.putLog("counter-static");
		const core = fresh("core");
		writeFileSync(core, fixtureCore("counter-static"));
		const patched = necromancer(where, ["-q", "-c", core, "-i", images]);
		expect(patched).toEqual({ status: 0, stdout: "", stderr: "" });
		expect(necromancer(where, ["restore", "-d", "-i", images]).status).toBe(0);
		const [last = ""] = fixtureText("counter-static", "dead.log").trim().split("\n").slice(-1);
		const after = await linesOf(where.path(log), lines + 2);
		const numberAndSeed = (line: string): [number, string] => {
			const [, number, seed = ""] = /^count (\d+) seed (\w+) /.exec(line) ?? [];
			return [Number(number), seed];
		};
		const [number, seed] = numberAndSeed(last);
		expect(after.slice(lines, lines + 2).map(numberAndSeed)).toEqual([
			[number + 1, seed],
			[number + 2, seed],
		]);
	});
});

const setpriv = hasTool("setpriv");

describe.skipIf(!able || !setpriv)(`another user's process${needs}${setpriv ? "" : " (needs setpriv)"}`, () => {
	const asOther = (where: Room, proc: string, pid: number): Ran =>
		where.run([
			...["unshare", "--mount", "sh", "-c"],
			...[`mount -t proc -o "$0" proc /proc && exec setpriv --reuid=1001 --regid=1001 --clear-groups "$@"`, proc],
			...[process.execPath, join(dist, "cli/main.js"), "dump", "-t", `${pid}`, "-i", "/tmp/images"],
		]);

	it("may not be dumped, and is told from one that /proc hides and from one that is not there", async () => {
		const where = await room();
		const sleeper = await started(where, ["sh", "-c", "echo up; exec sleep 1000"]);
		const said = (proc: string, pid: number): string => asOther(where, proc, pid).stderr;
		expect(said("hidepid=0", sleeper.pid)).toBe(
			`necromancer: process ${sleeper.pid}: belongs to user 0, and we are 1001, expected to be allowed to trace it; be root or have CAP_SYS_PTRACE [ERR_HOST]\n`,
		);
		expect(said("hidepid=2", sleeper.pid)).toBe(
			`necromancer: process ${sleeper.pid}: lives, and /proc does not show it, expected to see it there; be root, or mount /proc without hidepid and for our pid namespace [ERR_HOST]\n`,
		);
		expect(said("hidepid=2", 4000)).toBe(
			"necromancer: process 4000: is not there, expected a living process [ERR_PROCESS]\n",
		);
	});
});

describe.skipIf(!able)(`what cannot be dumped is refused and not touched${needs}`, () => {
	const refusal = (where: Room, pid: number | string, ...options: string[]): Ran =>
		necromancer(where, ["dump", "-t", `${pid}`, "-i", fresh("images"), ...options]);

	it("processes that are not there, or are none", async () => {
		const where = await room();
		expect(refusal(where, 4000)).toEqual({
			status: 1,
			stdout: "",
			stderr: "necromancer: process 4000: is not there, expected a living process [ERR_PROCESS]\n",
		});
		const threads = await started(where, ["/opt/victims/bin/threads", "/dev/stdout"]);
		const [, tid = ""] = threadsOf(where, threads);
		expect(refusal(where, tid).stderr).toBe(
			`necromancer: process ${tid}: is a thread of process ${threads.pid}, expected a process; name ${threads.pid} instead [ERR_PROCESS]\n`,
		);
		const taken = fresh("images");
		mkdirSync(taken);
		writeFileSync(join(taken, "something"), "");
		expect(necromancer(where, ["dump", "-t", `${threads.pid}`, "-i", taken]).stderr).toContain("[ERR_OUTPUT_EXISTS]");
		expect(await more(threads, 1)).toHaveLength(1);
	});

	it("sockets, by number and kind; /dev/null can take their place", async () => {
		const where = await room();
		const script = fresh("script.cjs");
		const line = `require("node:dgram").createSocket("udp4").bind(0, "127.0.0.1", () => setInterval(() => console.log("on"), 50))`;
		writeFileSync(script, line);
		const node = await started(where, [process.execPath, script]);
		const { status, stderr } = refusal(where, node.pid);
		expect(status).toBe(6);
		expect(stderr).toMatch(
			/^necromancer: descriptor \d+: is a UDP socket, which this version cannot dump; let \/dev\/null take its place with --missing-fds null, or leave it out with --missing-fds skip \[ERR_UNSUPPORTED\]\n$/,
		);
		expect(tracerOf(where, node)).toBe("0");
		const replaced = refusal(where, node.pid, "--missing-fds", "null", "-R");
		expect(replaced.stdout).toMatch(/^loss +descriptor \d+: was a UDP socket; \/dev\/null takes its place$/m);
		expect(replaced.status).toBe(0);
	});

	it("processes in another pid namespace", async () => {
		const where = await room();
		const inner = await started(where, ["unshare", "-pf", "sh", "-c", "echo up; exec sleep 1000"]);
		const pid = where.pids().find((candidate) => candidate > inner.pid);
		expect(refusal(where, pid ?? 0).stderr).toMatch(
			/: is in other namespaces than we are \(pid\), expected the same: names and ids mean something else there; run us there: nsenter /,
		);
	});
});
