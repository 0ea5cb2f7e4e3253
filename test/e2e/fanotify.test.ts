import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { built } from "../support/lives/built.ts";
import { canHaveRooms, linesOf, openRoom, type Ran, type Room } from "../support/lives/room.ts";
import { hasGcc } from "../support/tools.ts";

// A process that watches files and mounts (fanotify(7)) is dumped and brought back, and is told of what becomes of them.

const able = canHaveRooms() && hasGcc();
const needs = able ? "" : " (needs root, unshare, nsenter and gcc)";

const directory = mkdtempSync(join(tmpdir(), "necromancer-fanotify-"));
const [watched, mounted] = [join(directory, "watched"), join(directory, "mounted")];
let dist = "";
beforeAll(() => {
	dist = built();
	if (!able) return;
	for (const path of [watched, mounted]) mkdirSync(path);
	const source = resolve(import.meta.dirname, "../support/lives/fanotify.c");
	execFileSync("gcc", ["-w", "-O1", "-o", join(directory, "fanotify"), source]);
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const rooms: Room[] = [];
afterEach(async () => {
	for (const opened of rooms.splice(0)) await opened.close();
});

let made = 0;

async function watching(...more: readonly string[]) {
	const where = await openRoom();
	rooms.push(where);
	const [log, images] = [join(directory, `log-${++made}`), join(directory, `images-${made}`)];
	expect(where.run(["mount", "-t", "tmpfs", "mounted", mounted])).toMatchObject({ status: 0 });
	const script = `log=$1; shift; setsid "$@" </dev/null >"$log" 2>&1 & echo $!`;
	const command = [join(directory, "fanotify"), watched, mounted, ...more];
	const pid = Number(where.run(["sh", "-c", script, "sh", log, ...command]).stdout);
	expect(await linesOf(log, 1)).toEqual(["watching"]);
	const necromancer = (...args: readonly string[]): Ran =>
		where.run([process.execPath, join(dist, "cli/main.js"), ...args]);
	return { where, log, images, pid, necromancer };
}

describe.skipIf(!able)(`a fanotify group${needs}`, () => {
	it("tells the revived of the same files and mounts", async () => {
		const { where, log, images, pid, necromancer } = await watching();
		expect(necromancer("dump", "-t", `${pid}`, "-i", images, "-q")).toMatchObject({ status: 0, stderr: "" });
		// nobody sees it
		writeFileSync(join(watched, "between"), "");
		expect(necromancer("restore", "-d", "-i", images)).toMatchObject({
			status: 0,
			stderr:
				`caution descriptor 3: watches the mount that ${mounted} is on now, also what the restore does there\n` +
				`restored process ${pid}\n`,
		});
		writeFileSync(join(watched, "file"), "");
		where.run(["sh", "-c", 'echo >"$1"', "sh", join(mounted, "other")]);
		expect(await linesOf(log, 3)).toEqual(["watching", `${join(watched, "file")} 8`, `${join(mounted, "other")} 8`]);
	});

	it("that is asked for permission is refused by name", async () => {
		const { images, pid, necromancer } = await watching("permission");
		expect(necromancer("dump", "-t", `${pid}`, "-i", images).stderr).toBe(
			"necromancer: descriptor 3: is a fanotify group that is asked for permission, which this version cannot dump; let " +
				"/dev/null take its place with --missing-fds null, or leave it out with --missing-fds skip [ERR_UNSUPPORTED]\n",
		);
	});
});
