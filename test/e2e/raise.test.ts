import { spawn } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { built } from "../support/lives/built.ts";
import { canBeFaulty, FAULTY_NEEDS, FAULTY_PID, type Faulty, killFaulty, SIGNAL_PID } from "../support/lives/faulty.ts";
import { soon } from "../support/lives/living.ts";
import { openRoom, type Ran, type Room } from "../support/lives/room.ts";
import { present } from "../support/present.ts";
import { hasTool } from "../support/tools.ts";

// The verb, on a program that has just died of its own fault.

const able = canBeFaulty();
const needs = able ? "" : ` (${FAULTY_NEEDS})`;
const hasZstd = hasTool("zstd");
const hasScript = hasTool("script");

const directory = mkdtempSync(join(tmpdir(), "necromancer-faulty-"));
let dist = "";
let dead: Faulty;
let room: Room;
beforeAll(async () => {
	if (!able) return;
	dist = built();
	dead = await killFaulty(directory);
	room = await openRoom();
});
afterEach(async () => {
	if (able) await clear();
});
afterAll(async () => {
	if (able) await room.close();
	rmSync(directory, { recursive: true, force: true });
});

const main = (): string => join(dist, "cli/main.js");
const raise = (...args: readonly string[]): Ran => room.run([process.execPath, main(), "raise", "--trust", ...args]);
/** In a shell of the room, with `$raise` for the verb. */
const shell = (script: string): Ran =>
	room.run(["sh", "-c", script], { raise: `${process.execPath} ${main()} raise --trust` });
const proc = (pid: number, name: string): string => readFileSync(room.path(`/proc/${pid}/${name}`), "latin1");
const field = (pid: number, name: string): string =>
	new RegExp(`^${name}:[\\t ]*(.*?) *$`, "m").exec(proc(pid, "status"))?.[1] ?? "";
const stopped = (pid: number): boolean =>
	readdirSync(room.path(`/proc/${pid}/task`)).every((tid) =>
		/\nState:\tT \(stopped\)\n/.test(proc(pid, `task/${tid}/status`)),
	);
const named = (name: string): number[] => room.pids().filter((pid) => proc(pid, "comm") === `${name}\n`);

async function clear(): Promise<void> {
	for (const pid of room.pids()) room.run(["kill", "-KILL", `${pid}`]);
	expect(await soon(() => room.pids().length === 0)).toBe(true);
}

const DIED = "it had died of SIGSEGV at 0x0 (address not mapped), taken by thread 5001; ";
const GOING_ON =
	"  going on, it executes the instruction that killed it again: change what made it fail first (gdb: set, return, jump)\n";
const next = (pid: number): string =>
	`  gdb -p ${pid} -iex "handle SIGSTOP nostop noprint nopass"    look into it, call its functions\n` +
	`  kill -CONT ${pid}                                            let it go on\n` +
	`  kill -KILL ${pid}                                            let it rest\n`;
/** What is printed of a process that is left stopped. */
const said = (pid: number, other = ""): string =>
	`raised faulty: process ${pid}${other}, 3 threads; memory and threads are whole; lost: open files, signal handlers, timers, names of threads; 2 cautions\n  ${DIED}it is stopped\n${GOING_ON}${next(pid)}`;
const endOfText = (stdout: string): string => stdout.slice(stdout.indexOf("\nraised ") + 1);
const well = { status: 0, stdout: "", stderr: "" };

describe.skipIf(!able)(`raise${needs}`, () => {
	it("leaves it stopped, says what killed it and what next; going on, it dies again", async () => {
		const { status, stdout, stderr } = raise(dead.fault);
		expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
		expect(endOfText(stdout)).toBe(said(FAULTY_PID));
		expect(stdout.slice(0, stdout.indexOf("\nraised ") + 1)).toMatch(/^(?:loss {4}.*\n){4}(?:caution .*\n){2}$/);
		expect(stdout).not.toContain("\u001b");
		expect(room.pids()).toEqual([FAULTY_PID]);
		expect(readdirSync(room.path(`/proc/${FAULTY_PID}/task`))).toHaveLength(3);
		expect(stopped(FAULTY_PID)).toBe(true);
		for (const fd of [0, 1, 2]) expect(readlinkSync(room.path(`/proc/${FAULTY_PID}/fd/${fd}`))).toBe("/dev/null");
		room.run(["kill", "-CONT", `${FAULTY_PID}`]);
		expect(await soon(() => room.pids().length === 0)).toBe(true);
	});

	it("has nothing to say of capabilities that nobody here has", () => {
		expect(raise("-v", dead.fault).stdout).not.toMatch(/which the restorer cannot give/);
		expect(JSON.parse(raise("--json", "--fresh-ids", dead.fault).stdout)).toMatchObject({
			stopped: true,
			mode: "fresh",
		});
	});

	it("relays its end", () => {
		expect(raise("-q", "--wait", dead.signal)).toEqual({ ...well, status: 7 });
		expect(raise("-q", "--wait", dead.fault)).toEqual({
			...{ status: 139, stdout: "" },
			stderr: `process ${FAULTY_PID} was killed by SIGSEGV\n`,
		});
		expect(endOfText(raise("--run", dead.signal).stdout)).toBe(
			`raised faulty: process ${SIGNAL_PID}, 3 threads; memory and threads are whole; lost: open files, signal handlers, timers, names of threads; 2 cautions\n` +
				`  it had died of SIGQUIT sent by pid ${SIGNAL_PID} (uid 0), taken by thread ${SIGNAL_PID}; it goes on\n`,
		);
	});

	it("with a finding of all that is deduced, or with none", () => {
		expect(raise("-c", dead.fault, "-v", "--check").stdout).toMatch(/^loss {4}timers: are not in a core/m);
		expect(raise("-q", "-c", dead.fault)).toEqual(well);
		expect(stopped(FAULTY_PID)).toBe(true);
	});

	it("--check makes nothing, and says so", () => {
		const { status, stdout } = raise("--check", dead.fault);
		expect(status).toBe(0);
		expect(stdout.slice(stdout.indexOf("check: "))).toBe(
			`check: faulty, process ${FAULTY_PID}, 3 threads; memory and threads are whole; lost: open files, signal handlers, timers, names of threads; 2 cautions\n  ${DIED}nothing was made\n`,
		);
		expect(JSON.parse(raise("--check", "--json", dead.fault).stdout)).toMatchObject({ kind: "raise", pid: null });
		expect(room.pids()).toEqual([]);
	});

	it("--json tells the same to programs", () => {
		const { status, stdout, stderr } = raise("--json", dead.fault);
		expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
		const { findings, ...rest } = JSON.parse(stdout);
		expect(rest).toEqual({
			...{ schema: 1, kind: "raise", comm: "faulty", pid: FAULTY_PID, mode: "same", stopped: true },
			ids: { pid: FAULTY_PID, threads: [FAULTY_PID, expect.any(Number), expect.any(Number)] },
			death: { tid: FAULTY_PID, signal: 11, words: "SIGSEGV at 0x0 (address not mapped)", synchronous: true },
		});
		expect(findings).toContainEqual({
			...{ weight: "caution", code: "fatal-signal", subject: `thread ${FAULTY_PID}` },
			text: expect.stringContaining("died of SIGSEGV"),
		});
		for (const finding of findings) expect(Object.keys(finding).sort()).toEqual(["code", "subject", "text", "weight"]);
	});

	it.skipIf(!hasZstd)(`reads compressed cores and pipes${hasZstd ? "" : " (needs zstd)"}`, async () => {
		for (const how of [
			`zstd -qc ${dead.fault} | $raise -q -`,
			`zstd -qfo ${directory}/odd.name ${dead.fault}; $raise -q ${directory}/odd.name`,
			`gzip -c ${dead.fault} | $raise -q -`,
			`$raise -q - <${dead.fault}`,
			`cat ${dead.fault} | $raise -q --lazy -`,
		]) {
			expect(shell(how), how).toEqual(well);
			expect(stopped(FAULTY_PID), how).toBe(true);
			expect(readdirSync(room.temporary)).toEqual([]);
			await clear();
		}
	});

	it("gives it descriptors, and writes its pid", () => {
		const [log, pidfile] = [join(room.temporary, "log"), join(room.temporary, "pid")];
		writeFileSync(log, "");
		expect(raise("-q", "--fd", `7=${log}`, "--fd", "1=/dev/zero", "--pidfile", pidfile, dead.fault)).toEqual(well);
		expect(readlinkSync(room.path(`/proc/${FAULTY_PID}/fd/7`))).toBe(log);
		expect(readlinkSync(room.path(`/proc/${FAULTY_PID}/fd/1`))).toBe("/dev/zero");
		expect(readFileSync(pidfile, "utf8")).toBe(`${FAULTY_PID}\n`);
		for (const path of [log, pidfile]) rmSync(path);
	});

	it("lets it open what it finds about itself, under the name that everybody finds himself by", async () => {
		expect(raise("-q", "--fd", "7=/proc/self/status", dead.fault)).toEqual(well);
		expect(readlinkSync(room.path(`/proc/${FAULTY_PID}/fd/7`))).toBe(`/proc/${FAULTY_PID}/status`);
		await clear();
	});

	it("gives it descriptors of ours, by whichever name: those of whoever calls, and not of the agent", async () => {
		const log = join(room.temporary, "log");
		writeFileSync(log, "");
		const fds = ["7=/proc/self/fd/5", "8=/dev/fd/5"].map((fd) => `--fd ${fd}`).join(" ");
		expect(shell(`exec 5<>${log}; $raise -q ${fds} ${dead.fault}`)).toEqual(well);
		for (const number of [7, 8]) expect(readlinkSync(room.path(`/proc/${FAULTY_PID}/fd/${number}`))).toBe(log);
		rmSync(log);
		await clear();
	});

	it("--no-ptrace: it is stopped all the same, and what stays of us in it is said", () => {
		const { status, stdout } = raise("--no-ptrace", dead.fault);
		expect([status, stdout]).toEqual([
			0,
			expect.stringMatching(/^caution without ptrace \d+ KiB of ours stay mapped in it$/m),
		]);
		expect(stopped(FAULTY_PID)).toBe(true);
	});

	it("leaves nothing where its pid cannot be written", () => {
		expect(raise("-q", "--pidfile", "/nowhere/pid", dead.fault)).toEqual({
			...{ status: 1, stdout: "" },
			stderr: "necromancer: /nowhere/pid: open failed with ENOENT (no such file) [ERR_IO]\n",
		});
		expect(named("faulty")).toEqual([]);
	});

	it.skipIf(!hasScript)(`--tty gives it our terminal${hasScript ? "" : " (needs script)"}`, () => {
		const { status } = room.run([
			"script",
			"-qec",
			`${process.execPath} ${main()} raise --trust -q --tty ${dead.fault} && readlink /proc/${FAULTY_PID}/fd/0 >${directory}/tty`,
			"/dev/null",
		]);
		expect(status).toBe(0);
		expect(readFileSync(join(directory, "tty"), "utf8")).toMatch(/^\/dev\/pts\/\d+\n$/);
		expect(raise("--tty", dead.fault)).toEqual({
			...{ status: 2, stdout: "" },
			stderr:
				"necromancer: --tty: none of our standard streams is a terminal, expected one to hand on; name files with --fd N=PATH [ERR_USAGE]\n",
		});
	});

	it("goes to a namespace of its own where its id is taken, or has new ones", () => {
		expect(raise("-q", dead.fault)).toEqual(well);
		const second = raise(dead.fault);
		const pid = present(named("faulty").find((it) => it !== FAULTY_PID));
		expect(endOfText(second.stdout)).toBe(said(pid, ` (${FAULTY_PID} in its pid namespace)`));
		expect(field(pid, "NSpid")).toBe(`${pid}\t${FAULTY_PID}`);
		const third = raise("--fresh-ids", dead.fault);
		const fresh = present(named("faulty").find((it) => it !== FAULTY_PID && it !== pid));
		const { binary } = dead;
		expect(endOfText(third.stdout)).toContain(`raised faulty: process ${fresh} (it was ${FAULTY_PID}), 3 threads; `);
		expect(endOfText(third.stdout)).toContain(
			`\n  gdb ${binary} -p ${fresh} -iex "handle SIGSTOP nostop noprint nopass" `,
		);
		expect(field(fresh, "NSpid")).toBe(`${fresh}`);
	});

	it("--lazy: it lives on the core, and one is told to leave that alone", () => {
		const { status, stdout } = raise("--lazy", dead.fault);
		expect(status).toBe(0);
		expect(stdout).toContain(
			`caution ${dead.fault}: memory is mapped from it: leave it as it is while the process lives; cut short, it ends the process with SIGBUS\n`,
		);
		expect(proc(FAULTY_PID, "maps")).toContain(dead.fault);
	});

	it("interrupted while it unpacks, leaves nothing", async () => {
		const child = spawn(process.execPath, [main(), "raise", "--trust", "-"], {
			env: { ...process.env, TMPDIR: room.temporary },
			stdio: ["pipe", "ignore", "ignore"],
		});
		const end = new Promise((done) => child.once("close", (status, signal) => done([status, signal])));
		// it goes before it has read all
		child.stdin.on("error", () => {});
		child.stdin.write(readFileSync(dead.fault).subarray(0, 1 << 20));
		expect(
			await soon(() =>
				readdirSync(`/proc/${child.pid}/fd`).some((fd) => linkOf(child.pid, fd).startsWith(room.temporary)),
			),
		).toBe(true);
		child.kill("SIGINT");
		expect(await end).toEqual([null, "SIGINT"]);
		expect(readdirSync(room.temporary)).toEqual([]);
	});
});

function linkOf(pid: number | undefined, fd: string): string {
	try {
		return readlinkSync(`/proc/${pid}/fd/${fd}`);
	} catch {
		// closed meanwhile
		return "";
	}
}
