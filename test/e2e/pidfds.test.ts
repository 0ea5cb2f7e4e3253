import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { built } from "../support/lives/built.ts";
import { canHaveRooms, linesOf, openRoom, type Ran, type Room } from "../support/lives/room.ts";
import { hasGcc } from "../support/tools.ts";

// A process that holds others by descriptors is dumped and brought back with them: each descriptor is of the right one.

const able = canHaveRooms() && hasGcc();
const needs = able ? "" : " (needs root, unshare, nsenter and gcc)";

const directory = mkdtempSync(join(tmpdir(), "necromancer-pidfds-"));
const program = join(directory, "pidfds");
let dist = "";
beforeAll(() => {
	dist = built();
	if (!able) return;
	execFileSync("gcc", ["-w", "-O1", "-o", program, resolve(import.meta.dirname, "../support/lives/pidfds.c")]);
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const rooms: Room[] = [];
afterEach(async () => {
	for (const opened of rooms.splice(0)) await opened.close();
});

const necromancer = (where: Room, args: readonly string[]): Ran =>
	where.run([process.execPath, join(dist, "cli/main.js"), ...args]);

describe.skipIf(!able)(`pidfds${needs}`, () => {
	it("are of itself, of a child, of one that has ended and of one that was waited for, when it is back", async () => {
		const where = await openRoom();
		rooms.push(where);
		const [log, images] = [join(directory, "log"), join(directory, "images")];
		const script = `log=$1; shift; setsid "$@" </dev/null >"$log" 2>&1 & echo $!`;
		const pid = Number(where.run(["sh", "-c", script, "sh", log, program]).stdout);
		expect(await linesOf(log, 1)).toEqual(["ready"]);
		expect(necromancer(where, ["dump", "-t", `${pid}`, "-i", images, "-q"])).toMatchObject({ status: 0, stderr: "" });
		expect(necromancer(where, ["restore", "-d", "-i", images])).toMatchObject({ status: 0 });
		where.run(["kill", "-USR1", `${pid}`]);
		// whose pidfd is there to be read has ended; the child is ended by its pidfd
		expect(await linesOf(log, 2)).toEqual(["ready", "right 0; right 0; right 1; right 1; right 0"]);
	});

	it("of a stranger are refused by name, unless they are given up", async () => {
		const where = await openRoom();
		rooms.push(where);
		const [log, images] = [join(directory, "other-log"), join(directory, "other-images")];
		const script = `log=$1; shift; setsid "$@" </dev/null >"$log" 2>&1 & echo $!`;
		const pid = Number(where.run(["sh", "-c", script, "sh", log, program, "1"]).stdout);
		expect(await linesOf(log, 1)).toEqual(["ready 1"]);
		expect(necromancer(where, ["dump", "-t", `${pid}`, "-i", images]).stderr).toBe(
			"necromancer: descriptor 3: is a pidfd of process 1, which is not dumped with it; let /dev/null take its place with " +
				"--missing-fds null, or leave it out with --missing-fds skip [ERR_UNSUPPORTED]\n",
		);
		const without = necromancer(where, ["dump", "-t", `${pid}`, "-i", images, "--missing-fds", "skip"]);
		expect(without.stdout).toMatch(/^loss +descriptor 3: was anon_inode:\[pidfd\]; it is closed$/m);
	});
});
