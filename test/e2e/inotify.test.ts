import { execFileSync } from "node:child_process";
import { appendFileSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { built } from "../support/lives/built.ts";
import { canHaveRooms, linesOf, openRoom, type Ran, type Room } from "../support/lives/room.ts";
import { hasGcc } from "../support/tools.ts";

// A process that watches files is dumped and brought back, and is told of what becomes of them.

const able = canHaveRooms() && hasGcc();
const needs = able ? "" : " (needs root, unshare, nsenter and gcc)";

const directory = mkdtempSync(join(tmpdir(), "necromancer-inotify-"));
let dist = "";
beforeAll(() => {
	dist = built();
	if (!able) return;
	const source = resolve(import.meta.dirname, "../support/lives/watcher.c");
	execFileSync("gcc", ["-w", "-O1", "-o", join(directory, "watcher"), source]);
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const rooms: Room[] = [];
afterEach(async () => {
	for (const opened of rooms.splice(0)) await opened.close();
});

const necromancer = (where: Room, args: readonly string[]): Ran =>
	where.run([process.execPath, join(dist, "cli/main.js"), ...args]);

let made = 0;

/** A process that watches a directory by 1 and a file by 3. */
async function watching() {
	const where = await openRoom();
	rooms.push(where);
	const own = join(directory, `${++made}`);
	const [watched, left, file, log, images] = ["watched", "left", "file", "log", "images"].map((name) =>
		join(own, name),
	);
	if (!watched || !left || !file || !log || !images) throw new RangeError("five paths");
	for (const path of [own, watched]) mkdirSync(path);
	for (const path of [left, file]) writeFileSync(path, "");
	const script = `log=$1; shift; setsid "$@" </dev/null >"$log" 2>&1 & echo $!`;
	const { stdout } = where.run(["sh", "-c", script, "sh", log, join(directory, "watcher"), watched, left, file]);
	expect(await linesOf(log, 1)).toEqual(["watching without 2"]);
	return { where, watched, file, log, images, pid: Number(stdout) };
}

describe.skipIf(!able)(`an inotify instance${needs}`, () => {
	it("tells the revived of the same watches by the same numbers", async () => {
		const { where, watched, file, log, images, pid } = await watching();
		expect(necromancer(where, ["dump", "-t", `${pid}`, "-i", images, "-q"])).toMatchObject({ status: 0, stderr: "" });
		// nobody sees it
		writeFileSync(join(watched, "between"), "");
		expect(necromancer(where, ["restore", "-d", "-i", images])).toMatchObject({ status: 0 });
		appendFileSync(file, "more");
		writeFileSync(join(watched, "new"), "");
		expect(await linesOf(log, 3)).toEqual(["watching without 2", "3 2 -", "1 100 new"]);
	});

	it("is told to have held events that nobody had read, and follows what has another name by now", async () => {
		const { where, watched, file, log, images, pid } = await watching();
		where.run(["kill", "-STOP", `${pid}`]);
		writeFileSync(join(watched, "unread"), "");
		renameSync(file, `${file}.renamed`);
		const dumped = necromancer(where, ["dump", "-t", `${pid}`, "-i", images]);
		expect(dumped).toMatchObject({ status: 0 });
		expect(dumped.stdout).toMatch(/^loss +descriptor 3: held 32 bytes of events that nobody had read; they are gone$/m);
		expect(necromancer(where, ["restore", "-d", "-i", images])).toMatchObject({ status: 0 });
		where.run(["kill", "-CONT", `${pid}`]);
		appendFileSync(`${file}.renamed`, "more");
		expect(await linesOf(log, 2)).toEqual(["watching without 2", "3 2 -"]);
	});
});
