import { spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { gunzipSync } from "node:zlib";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { fixturePath } from "../support/builders/fixture-core.ts";
import { built } from "../support/lives/built.ts";
import {
	asked,
	beginLife,
	compileLives,
	dumpLife,
	type Life,
	necromancer,
	restoreLife,
	said,
	until,
} from "../support/lives/lives.ts";
import { canHaveRooms, openRoom, type Ran, type Room } from "../support/lives/room.ts";
import { contentsOf } from "../support/scratch.ts";
import { hasGcc } from "../support/tools.ts";

// What goes wrong around us: full disks, readers that are gone, files that change. Either all is well or nothing is left,
// and it is said which.

const able = canHaveRooms();
const gcc = hasGcc();
const needs = able ? "" : " (needs root, unshare and nsenter)";
const fixture = "counter-static";
const strike = resolve(import.meta.dirname, "../support/faults/strike.mjs");

const directory = mkdtempSync(join(tmpdir(), "necromancer-faults-"));
const core = join(directory, "core");
let dist = "";
let room: Room;
beforeAll(async () => {
	if (!able) return;
	dist = built();
	room = await openRoom();
	room.putLog(fixture);
	if (gcc) compileLives(directory, ["mapped", "vforking"]);
});
afterEach(async () => {
	if (!able) return;
	for (const pid of room.pids()) room.run(["kill", "-KILL", `${pid}`]);
	await until(() => room.pids().length === 0);
});
afterAll(async () => {
	if (able) await room.close();
	rmSync(directory, { recursive: true, force: true });
});

const main = (): string => join(dist, "cli/main.js");
/** In a shell of the room, with `$n` for the program. */
const shell = (script: string): Ran => room.run(["bash", "-c", script], { n: `${process.execPath} ${main()}` });

/** One line, a failure, and nobody left. */
function expectUndone({ status, stderr }: Ran, line: RegExp): void {
	expect(stderr).toMatch(line);
	expect(stderr.match(/\n/g)).toHaveLength(1);
	expect(status).toBe(1);
	expect(room.pids()).toEqual([]);
}

const freshCore = (): void => writeFileSync(core, gunzipSync(readFileSync(fixturePath(`${fixture}/core.gz`))));

describe.skipIf(!able)(`who is not told of a process has none${needs}`, () => {
	const full = /^necromancer: standard (?:output|error): the disk is full; make room and run it again \[ERR_IO\]\n$/;

	it("raise, where stdout is full", () => {
		freshCore();
		expectUndone(shell(`$n raise --trust ${core} >/dev/full`), full);
		expectUndone(shell(`$n raise --trust ${core} --json --run >/dev/full`), full);
		expect(shell(`$n raise --trust -q ${core} >/dev/full`)).toMatchObject({ status: 0 });
		expect(room.pids()).toHaveLength(1);
	});

	it("raise, where nobody reads", () => {
		freshCore();
		expectUndone(
			shell(
				`{ sleep 0.2; $n raise --trust ${core}; echo $? >&3; } 3>${directory}/status | :; exit $(cat ${directory}/status)`,
			),
			/^necromancer: standard output: write failed with EPIPE \[ERR_IO\]\n$/,
		);
	});

	it("restore, where the log is full", () => {
		const images = fixturePath(`${fixture}/images`);
		expectUndone(
			shell(`$n restore -d -i ${images} -o /dev/full`),
			/^necromancer: \/dev\/full: the disk is full; make room and run it again \[ERR_IO\]\n$/,
		);
		expect(shell(`$n restore -d -i ${images} 2>/dev/full`)).toMatchObject({ status: 1 });
		expect(room.pids()).toEqual([]);
	});

	it("restore and raise, where the pidfile or the log is not for them to write", () => {
		freshCore();
		const [fifo, link] = [join(directory, "fifo"), join(directory, "link")];
		room.run(["mkfifo", fifo]);
		symlinkSync("core", link);
		const images = fixturePath(`${fixture}/images`);
		for (const [what, path] of [
			["FIFO", fifo],
			["link", link],
		]) {
			const line = new RegExp(
				`^necromancer: ${path}: is a ${what}, expected a file to write, or none; name another \\[ERR_IO\\]\\n$`,
			);
			expectUndone(shell(`$n raise --trust -q ${core} --pidfile ${path}`), line);
			expectUndone(shell(`$n restore -d -v0 -i ${images} --pidfile ${path}`), line);
			expectUndone(shell(`$n restore -d -i ${images} -o ${path}`), line);
		}
	});

	it("says of other output that it could not be written", () => {
		freshCore();
		const { status, stderr } = shell(`$n show ${core} >/dev/full`);
		expect({ status, stderr: full.test(stderr) }).toEqual({ status: 1, stderr: true });
	});
});

describe.skipIf(!able)(`what changes while it is read${needs}`, () => {
	const struck = (path: string, moment: string, ...args: string[]): Ran =>
		room.run([process.execPath, "--import", strike, main(), ...args], { STRIKE: path, STRIKE_AT: moment });
	const line = (path: string): RegExp =>
		new RegExp(
			`^necromancer: ${path}: was changed while it was read, expected it to stay as it was; run it again when nobody writes to it \\[ERR_CHANGED\\]\\n$`,
		);

	it.each(["--eager", "--lazy", "--no-ptrace"])("is no process: a core, with %s", (how) => {
		freshCore();
		expectUndone(struck(core, "spawn", "raise", "--trust", core, how, "--run"), line(core));
	});

	it("is no process: an image", () => {
		const images = join(directory, "images");
		cpSync(fixturePath(`${fixture}/images`), images, { recursive: true });
		const pages = join(images, "pages-1.img");
		expectUndone(struck(pages, "spawn", "restore", "-d", "-i", images), line(pages));
		expectUndone(struck(pages, "spawn", "restore", "-d", "--no-ptrace", "-i", images), line(pages));
		const unread = join(images, "fs-1.img");
		writeFileSync(unread, "nobody reads it");
		expect(struck(unread, "spawn", "restore", "-d", "-i", images)).toMatchObject({ status: 0 });
	});

	it("is no patch", () => {
		const images = join(directory, "donor");
		cpSync(fixturePath(`${fixture}/images`), images, { recursive: true });
		const files = join(images, "files.img");
		freshCore();
		const before = contentsOf(images);
		expectUndone(struck(core, "mkdir", "-c", core, "-i", images, "--trust"), line(core));
		expect(contentsOf(images)).toEqual(before);
		const out = join(directory, "out");
		expectUndone(struck(files, "mkdir", "-c", core, "-i", images, "-o", out, "--trust"), line(files));
		expect(room.run(["ls", out]).status).not.toBe(0);
	});
});

describe.skipIf(!able || !gcc)(`a living process${needs}${gcc ? "" : " (needs gcc)"}`, () => {
	it.each(["a\nb", "a\\012b", "a\\b\x1b[2J"])("that maps a file called %j comes back", async (name) => {
		const file = join(directory, name);
		writeFileSync(file, "text".padEnd(4096));
		const life = await beginLife(room, directory, dist, "mapped", [file]);
		expect(await asked(life)).toBe("Oext text");
		restoreLife(life, await dumpLife(life), "-d");
		expect(await asked(life)).toBe("Oext text");
	});

	it("that waits in vfork is named, and goes on", async () => {
		const life: Life = await beginLife(room, directory, dist, "vforking");
		await until(() => room.pids().length === 2);
		const images = join(directory, "vforking-images");
		expect(necromancer(life, ["dump", "-t", `${life.pid}`, "-R", "-i", images])).toEqual({
			status: 1,
			stdout: "",
			stderr: `necromancer: process ${life.pid}: waits in vfork for a child that has neither ended nor become another program, expected every thread to stop; end the child, or try again later [ERR_PROCESS]\n`,
		});
		for (const pid of room.pids()) if (pid !== life.pid) room.run(["kill", "-KILL", `${pid}`]);
		expect(await until(() => said(life).includes("again"))).toBe(true);
		expect(room.run(["ls", images]).status).not.toBe(0);
	});
});

it("what is typed is never obeyed by the terminal", () => {
	const nasty = "\x1b[2J\x9b31m\n\u202e";
	for (const args of [[nasty], [`--${nasty}`], ["show", nasty], ["raise", "x", nasty], ["show", "--pid", nasty, "x"]]) {
		const { stderr, stdout } = spawnSync(process.execPath, [join(built(), "cli/main.js"), ...args], {
			encoding: "utf8",
		});
		expect(stderr).toMatch(/^necromancer: [^\p{Cc}\p{Cf}]*\n$/u);
		expect(stdout).toBe("");
	}
});
