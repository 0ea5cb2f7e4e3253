import { spawn } from "node:child_process";
import { chmodSync, chownSync, copyFileSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { canBeFaulty, FAULTY_NEEDS, FAULTY_PID, type Faulty, killFaulty } from "../support/lives/faulty.ts";
import { writingGdb } from "../support/lives/gdb.ts";
import { soon } from "../support/lives/living.ts";
import { ownRoom } from "../support/lives/own-room.ts";
import type { Ran } from "../support/lives/room.ts";
import { present } from "../support/present.ts";
import { hasTool } from "../support/tools.ts";

// gdb on a process that was dead: what it looks at, it can also call.

const hasGdb = hasTool("gdb");
const hasSetpriv = hasTool("setpriv");
const able = canBeFaulty();
const needs = able ? "" : ` (${FAULTY_NEEDS})`;

const { directory, room, command, empty } = ownRoom({ able }, async () => {
	dead = await killFaulty(directory);
	if (hasGdb) path = `${writingGdb(directory)}:${process.env["PATH"]}`;
});
let path = process.env["PATH"] ?? "";
let dead: Faulty;

const raise = (...args: readonly string[]): Ran => room().run(command("raise", "--trust", ...args), { PATH: path });
const proc = (pid: number, name: string): string => readFileSync(room().path(`/proc/${pid}/${name}`), "latin1");
const named = (name: string): number[] =>
	room()
		.pids()
		.filter((pid) => proc(pid, "comm") === `${name}\n`);
/** Arguments for gdb, one command after the other. */
const does = (...commands: readonly string[]): string[] => [
	...["--", "-batch", "-nx"],
	...commands.flatMap((command) => ["-ex", command]),
];
const CALLS = does("print compute(5)", "call add(3)", "print compute(5)", "call (int)getpid()", "info threads");
/** The values that gdb prints. */
const values = (stdout: string): string[] => [...stdout.matchAll(/^\$\d+ = (.*)$/gm)].map(([, value = ""]) => value);
const NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] as const;

describe.skipIf(!able || !hasGdb)(`raise --gdb${needs}${hasGdb ? "" : " (needs gdb)"}`, () => {
	it("calls functions of a dead process, which ends when gdb is quit", () => {
		const { status, stdout } = raise("--gdb", dead.fault, ...CALLS);
		expect(status).toBe(0);
		expect(stdout).toContain(
			`process ${FAULTY_PID}, 3 threads; memory and threads are whole; lost: open files, signal handlers, timers, names of threads; 2 cautions\n` +
				`  it had died of SIGSEGV at 0x0 (address not mapped), taken by thread ${FAULTY_PID}; it is stopped, for gdb\n`,
		);
		expect(values(stdout)).toEqual(["542", "45", "545", `${FAULTY_PID}`]);
		expect(stdout.match(/^[* ] +\d+ +Thread 0x[0-9a-f]+ \(LWP \d+\) "faulty"/gm)).toHaveLength(3);
		expect(stdout).not.toContain("SIGSTOP");
		expect(room().pids()).toEqual([]);
	});

	it("mends what killed it, and it goes on to its own end", () => {
		const { stdout } = raise("-q", "--gdb", "-c", dead.fault, ...does("tbreak _exit", "jump +1", "kill"));
		expect(stdout).toMatch(/_exit \(status=8\)|__GI__exit \(status=\w+\)/);
		expect(room().pids()).toEqual([]);
	});

	it("--keep: it lives on, with what gdb changed", () => {
		const { stdout } = raise("--gdb", "--keep", dead.fault, ...does("call add(3)"));
		expect(stdout).toContain(`process ${FAULTY_PID} is stopped: kill -CONT ${FAULTY_PID} lets it go on\n`);
		expect(room().pids()).toEqual([FAULTY_PID]);
		expect(proc(FAULTY_PID, "status")).toMatch(/^State:\tT \(stopped\)$/m);
		const attach = ["gdb", "-p", `${FAULTY_PID}`, "-iex", "handle SIGSTOP nostop noprint nopass"];
		const again = room().run([...attach, ...does("print compute(5)").slice(1)], { PATH: path });
		expect(values(again.stdout)).toEqual(["545"]);
	});

	it("--keep: says so when it ended under gdb", () => {
		expect(raise("--gdb", "--keep", dead.fault, ...does("kill")).stdout).toContain(`process ${FAULTY_PID} has ended\n`);
		expect(room().pids()).toEqual([]);
	});

	it("in a pid namespace and with new ids", () => {
		for (const [mode, pid] of [
			["--pid-namespace", () => `${FAULTY_PID}`],
			["--fresh-ids", (here: string) => here],
		] as const) {
			const { stdout } = raise(mode, "--gdb", dead.fault, ...CALLS);
			const here = present(/raised faulty: process (\d+)/.exec(stdout)?.[1]);
			expect(values(stdout)).toEqual(["542", "45", "545", pid(here)]);
			expect(stdout.match(/^[* ] +\d+ +Thread 0x[0-9a-f]+ \(LWP \d+\) "faulty"/gm)).toHaveLength(3);
			expect(named("faulty")).toEqual([]);
		}
	});

	it.skipIf(!hasSetpriv)(`for an ordinary user${hasSetpriv ? "" : " (needs setpriv)"}`, async () => {
		const core = join(directory, "theirs");
		copyFileSync(dead.fault, core);
		chownSync(core, 65534, 65534);
		for (const path of [directory, dead.binary]) chmodSync(path, 0o755);
		for (const mode of [[], ["--fresh-ids"]]) {
			const words = [...NOBODY, ...command("raise", "--trust", ...mode, "--gdb", core, ...CALLS)];
			const { status, stdout, stderr } = room().run(words, { PATH: path });
			expect(values(stdout).slice(0, 3), stderr).toEqual(["542", "45", "545"]);
			expect(status).toBe(0);
			await empty();
		}
	});

	it("ends it when it is told to end itself", async () => {
		const [program = "", ...args] = command("raise", "--trust", "-q", "--fresh-ids", "--gdb", dead.fault);
		const child = spawn(program, [...args, "--", "-q", "-nx"], { stdio: ["pipe", "pipe", "ignore"] });
		const end = new Promise((done) => child.once("close", done));
		let said = "";
		child.stdout.on("data", (bytes: Buffer) => {
			said += bytes;
		});
		expect(await soon(() => said.includes("(gdb)"))).toBe(true);
		const pid = Number(/process (\d+)/.exec(said)?.[1]);
		child.kill("SIGTERM");
		await end;
		expect(() => process.kill(pid, 0)).toThrow("ESRCH");
	});
});

describe.skipIf(!able)(`raise --gdb${needs}`, () => {
	it("makes nothing where there is no gdb", () => {
		const { status, stdout, stderr } = room().run([
			...["env", `PATH=${directory}`],
			...command("raise", "--trust", "--gdb", dead.fault),
		]);
		expect({ status, stdout, stderr }).toEqual({
			...{ status: 6, stdout: "" },
			stderr:
				"necromancer: gdb: is in no directory of PATH, expected it for --gdb; install gdb, or leave --gdb out and attach a debugger yourself [ERR_HOST]\n",
		});
		expect(room().pids()).toEqual([]);
	});
});
