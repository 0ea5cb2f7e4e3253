import { appendFileSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { compileLives, until } from "../support/lives/lives.ts";
import { ownRoom } from "../support/lives/own-room.ts";
import { canHaveRooms, linesOf } from "../support/lives/room.ts";
import { hasGcc } from "../support/tools.ts";

// A process that watches files is dumped and brought back, and is told of what becomes of them.

const able = canHaveRooms() && hasGcc();
const needs = able ? "" : " (needs root, unshare, nsenter and gcc)";

const { directory, room, necromancer, begin } = ownRoom({ able }, () => compileLives(directory, ["watcher"]));

let made = 0;

/** A process that watches a directory by 1 and a file by 3. */
async function watching() {
	const own = join(directory, `${++made}`);
	const [watched, left, file, log, images] = ["watched", "left", "file", "log", "images"].map((name) =>
		join(own, name),
	);
	if (!watched || !left || !file || !log || !images) throw new RangeError("five paths");
	for (const path of [own, watched]) mkdirSync(path);
	for (const path of [left, file]) writeFileSync(path, "");
	const pid = begin([join(directory, "watcher"), watched, left, file], { output: log });
	expect(await linesOf(log, 1)).toEqual(["watching without 2"]);
	return { watched, file, log, images, pid };
}

describe.skipIf(!able)(`an inotify instance${needs}`, () => {
	it("tells the revived of the same watches by the same numbers", async () => {
		const { watched, file, log, images, pid } = await watching();
		expect(necromancer("dump", "-t", `${pid}`, "-i", images, "-q")).toMatchObject({ status: 0, stderr: "" });
		// nobody sees it
		writeFileSync(join(watched, "between"), "");
		expect(necromancer("restore", "-d", "-i", images)).toMatchObject({ status: 0 });
		appendFileSync(file, "more");
		writeFileSync(join(watched, "new"), "");
		expect(await linesOf(log, 3)).toEqual(["watching without 2", "3 2 -", "1 100 new"]);
	});

	it("is told to have held events that nobody had read, and follows what has another name by now", async () => {
		const { watched, file, log, images, pid } = await watching();
		room().run(["kill", "-STOP", `${pid}`]);
		const status = room().path(`/proc/${pid}/status`);
		expect(await until(() => /^State:\tT/m.test(readFileSync(status, "latin1")))).toBe(true);
		writeFileSync(join(watched, "unread"), "");
		renameSync(file, `${file}.renamed`);
		const dumped = necromancer("dump", "-t", `${pid}`, "-i", images);
		expect(dumped).toMatchObject({ status: 0 });
		expect(dumped.stdout).toMatch(/^loss +descriptor 3: held 32 bytes of events that nobody had read; they are gone$/m);
		expect(necromancer("restore", "-d", "-i", images)).toMatchObject({ status: 0 });
		room().run(["kill", "-CONT", `${pid}`]);
		appendFileSync(`${file}.renamed`, "more");
		expect(await linesOf(log, 2)).toEqual(["watching without 2", "3 2 -"]);
	});
});
