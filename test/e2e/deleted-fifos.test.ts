import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { built } from "../support/lives/built.ts";
import { canHaveRooms, linesOf, openRoom, type Ran, type Room } from "../support/lives/room.ts";

// A shell with a FIFO that has lost its name is dumped and brought back: what waited in it is there.

const able = canHaveRooms();
const needs = able ? "" : " (needs root, unshare and nsenter)";

const directory = mkdtempSync(join(tmpdir(), "necromancer-fifos-"));
let dist = "";
beforeAll(() => {
	dist = built();
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const rooms: Room[] = [];
afterEach(async () => {
	for (const opened of rooms.splice(0)) await opened.close();
});

const necromancer = (where: Room, args: readonly string[]): Ran =>
	where.run([process.execPath, join(dist, "cli/main.js"), ...args]);

const SHELL = `cd "$1"; mkfifo gone go; exec 3<>gone 4<>go; rm gone; echo kept >&3; echo ready
read word <&4; read line <&3; echo "$word: $line"; echo more >&3; read line <&3; echo "$line"`;

describe.skipIf(!able)(`a deleted FIFO${needs}`, () => {
	it("comes back as a pipe, with what waited in it", async () => {
		const where = await openRoom();
		rooms.push(where);
		const [log, images] = [join(directory, "log"), join(directory, "images")];
		const script = `log=$1; shift; setsid "$@" </dev/null >"$log" 2>&1 & echo $!`;
		const pid = Number(where.run(["sh", "-c", script, "sh", log, "sh", "-c", SHELL, "sh", directory]).stdout);
		expect(await linesOf(log, 1)).toEqual(["ready"]);
		expect(necromancer(where, ["dump", "-t", `${pid}`, "-i", images, "-q"])).toMatchObject({ status: 0, stderr: "" });
		const restored = necromancer(where, ["restore", "-d", "-i", images]);
		expect(restored.stderr).toMatch(
			/^caution +.*gone, deleted: was a FIFO; it is a pipe now, which never had a name$/m,
		);
		writeFileSync(join(directory, "go"), "go\n");
		expect(await linesOf(log, 3)).toEqual(["ready", "go: kept", "more"]);
	});
});
