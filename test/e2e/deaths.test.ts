import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { built } from "../support/built.ts";
import { canDie, compileDeaths, type Death, die, type Program } from "../support/deaths.ts";
import { FAULTY_NEEDS } from "../support/faulty.ts";
import { soon } from "../support/living.ts";
import { openRoom, type Ran, type Room } from "../support/room.ts";

// Odd deaths: each is died, raised and looked at.

const able = canDie();
const needs = able ? "" : ` (${FAULTY_NEEDS}, nm)`;

const directory = mkdtempSync(join(tmpdir(), "necromancer-deaths-"));
let dist = "";
let program: Program;
let room: Room;
let next = 20_001;
beforeAll(async () => {
	if (!able) return;
	dist = built();
	program = compileDeaths(directory);
	room = await openRoom();
});
afterEach(async () => {
	if (!able) return;
	for (const pid of room.pids()) room.run(["kill", "-KILL", `${pid}`]);
	expect(await soon(() => room.pids().length === 0)).toBe(true);
});
afterAll(async () => {
	if (able) await room.close();
	rmSync(directory, { recursive: true, force: true });
});

const raise = (...args: readonly string[]): Ran =>
	room.run([process.execPath, join(dist, "cli/main.js"), "raise", ...args]);
const dead = (how: string): Death => {
	next += 100;
	return die(room, program, directory, how, next);
};
const digest = (path: string): string => createHash("sha256").update(readFileSync(path)).digest("hex");

describe.skipIf(!able)(`nothing destroyed${needs}`, () => {
	it("a process that dies again leaves the core alone that it came from, unless it is asked for one", async () => {
		const { core, pid, place } = dead("again");
		const before = digest(core);
		const inItsPlace = (...args: readonly string[]): Ran =>
			room.run(["sh", "-c", 'cd "$1"; shift; ulimit -c unlimited; exec "$@"', "sh", place, ...args]);
		const again = [process.execPath, join(dist, "cli/main.js"), "raise", "-q", "--run", core];
		inItsPlace(...again);
		expect(await soon(() => !room.pids().includes(pid))).toBe(true);
		expect(digest(core)).toBe(before);
		inItsPlace(...again, "--limit", "core=unlimited");
		expect(await soon(() => !room.pids().includes(pid))).toBe(true);
		expect(digest(core)).not.toBe(before);
		expect(raise("--limit", "cores=1", core)).toMatchObject({
			status: 2,
			stderr:
				'necromancer: --limit: expected NAME=NUMBER or NAME=unlimited with a limit such as core, not "cores=1"; see necromancer raise --help [ERR_USAGE]\n',
		});
	});
});
