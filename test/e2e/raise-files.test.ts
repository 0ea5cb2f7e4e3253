import {
	chownSync,
	copyFileSync,
	mkdirSync,
	mkdtempSync,
	readdirSync,
	readFileSync,
	rmSync,
	unlinkSync,
	writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { fixtureOrigin, fixturePath, fixtureText } from "../support/builders/fixture-core.ts";
import { built } from "../support/lives/built.ts";
import { canHaveRooms, linesOf, openRoom, type Ran, type Room } from "../support/lives/room.ts";

// Processes raised where something is not as it was: their files, or whose the core is.

const able = canHaveRooms();
const needs = able ? "" : " (needs root, unshare and nsenter)";

const directory = mkdtempSync(join(tmpdir(), "necromancer-raise-"));
let dist = "";
beforeAll(() => {
	dist = built();
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

let room: Room;
afterEach(async () => {
	await room.close();
});

const BINARY = "/opt/victims/bin/counter-static";
const STATIC = "counter-static";
const { pid } = fixtureOrigin(STATIC);
const BUILD_ID = /[0-9a-f]{40}/;

/** The fixture's compressed core, somebody's. */
function coreOf(fixture: string, uid = 0): string {
	const path = join(room.temporary, `${fixture}.gz`);
	copyFileSync(fixturePath(`${fixture}/core.gz`), path);
	chownSync(path, uid, uid);
	return path;
}

const untrusting = (...args: string[]): Ran =>
	room.run([process.execPath, join(dist, "cli/main.js"), "raise", "-q", ...args]);
/** The fixtures were root's. */
const raise = (...args: string[]): Ran => untrusting("--trust", ...args);
const proc = (id: number, name: string): string => readFileSync(room.path(`/proc/${id}/${name}`), "latin1");
const field = (id: number, name: string): string | undefined =>
	new RegExp(`^${name}:[\\t ]*(.*?) *$`, "m").exec(proc(id, "status"))?.[1];
const well = { status: 0, stdout: "", stderr: "" };

describe.skipIf(!able)(`raise${needs}`, () => {
	it("gives a process the rights of its core's owner and no more", async () => {
		room = await openRoom();
		expect(untrusting(coreOf(STATIC, 54321))).toEqual(well);
		expect(field(pid, "Uid")).toBe("54321\t54321\t54321\t54321");
		expect(field(pid, "Gid")).toBe("54321\t54321\t54321\t54321");
		expect([field(pid, "Groups"), field(pid, "CapPrm"), field(pid, "CapEff"), field(pid, "NoNewPrivs")]).toEqual([
			"",
			"0000000000000000",
			"0000000000000000",
			"1",
		]);
		expect(readdirSync(room.temporary)).toEqual([`${STATIC}.gz`]);
	});

	it("keeps the rights that a trusted core names", async () => {
		room = await openRoom();
		expect(raise(coreOf(STATIC, 54321))).toEqual(well);
		expect([field(pid, "Uid"), field(pid, "NoNewPrivs")]).toEqual(["0\t0\t0\t0", "1"]);
		expect(field(pid, "CapEff")).not.toBe("0000000000000000");
	});

	it("takes a core from a pipe", async () => {
		room = await openRoom();
		const core = coreOf(STATIC);
		const shell = '"$1" "$2" raise -q --trust - <"$3"';
		for (const command of [shell, `cat "$3" | ${shell.replace(' <"$3"', "")}`]) {
			expect(room.run(["sh", "-c", command, "sh", process.execPath, join(dist, "cli/main.js"), core])).toEqual(well);
			expect(field(pid, "State")).toMatch(/^T/);
			room.run(["kill", "-KILL", String(pid)]);
			for (let i = 0; i < 500 && room.pids().includes(pid); i++) room.run(["true"]);
		}
		expect(readdirSync(room.temporary)).toEqual([`${STATIC}.gz`]);
	});

	it("refuses another build, and finds the right one elsewhere", async () => {
		room = await openRoom();
		copyFileSync(fixturePath("bin/counter"), room.path(BINARY));
		const core = coreOf(STATIC);
		const { status, stderr } = raise(core);
		expect(status).toBe(5);
		expect(stderr).toMatch(
			new RegExp(
				`^necromancer: ${BINARY}: (?:has build-id ${BUILD_ID.source}, expected ${BUILD_ID.source}|.*); name it with --map-file`,
			),
		);
		expect(room.pids()).toEqual([]);

		const elsewhere = join(room.temporary, "elsewhere");
		mkdirSync(elsewhere);
		copyFileSync(fixturePath("bin/counter-static"), join(elsewhere, "copy"));
		expect(raise("--search", elsewhere, core)).toEqual(well);
		expect(proc(pid, "maps")).toContain(`${elsewhere}/copy`);
		expect(proc(pid, "maps")).not.toContain(BINARY);
	});

	it("takes another build if it is told to", async () => {
		room = await openRoom();
		const other = Buffer.from(readFileSync(fixturePath("bin/counter-static")));
		const id = other.indexOf(Buffer.from("040000001400000003000000474e5500", "hex")) + 16;
		other.fill(0xab, id, id + 20);
		writeFileSync(room.path(BINARY), other);
		const core = coreOf(STATIC);
		expect(raise(core).stderr).toContain(`has build-id ${"ab".repeat(20)}`);
		expect(raise("--allow-mismatch", core)).toEqual(well);
		expect(proc(pid, "maps")).toContain(BINARY);
	});

	it("brings a process back whose every file is gone, from its core alone, and it goes on", async () => {
		room = await openRoom();
		const fixture = "counter-full";
		const own = fixtureOrigin(fixture).pid;
		unlinkSync(room.path("/opt/victims/bin/counter"));
		const log = "/opt/victims/log";
		writeFileSync(room.path(log), "");
		const empty = join(room.temporary, "empty");
		mkdirSync(empty);
		expect(raise("--run", "--sysroot", empty, "--fd", `3=${log}`, coreOf(fixture))).toEqual(well);
		expect(proc(own, "maps")).not.toMatch(/ \/(?:usr|opt|lib)/);
		const [, last, seed] = /^count (\d+) seed (\w+) /.exec(fixtureText(fixture, "dead.lastline")) ?? [];
		const lines = await linesOf(room.path(log), 4);
		for (const [i, line] of lines.slice(0, 3).entries())
			expect(line).toMatch(new RegExp(`^count ${Number(last) + i + 1} seed ${seed} sum `));
	});
});
