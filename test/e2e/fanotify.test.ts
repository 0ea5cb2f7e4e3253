import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { compileLives } from "../support/lives/lives.ts";
import { ownRoom } from "../support/lives/own-room.ts";
import { canHaveRooms, linesOf } from "../support/lives/room.ts";
import { hasGcc } from "../support/tools.ts";

// A process that watches files and mounts (fanotify(7)) is dumped and brought back, and is told of what becomes of them.

const able = canHaveRooms() && hasGcc();
const needs = able ? "" : " (needs root, unshare, nsenter and gcc)";

const { directory, room, necromancer, begin } = ownRoom({ able }, () => {
	compileLives(directory, ["fanotify"]);
	for (const path of [watched, mounted]) mkdirSync(path);
	expect(room().run(["mount", "-t", "tmpfs", "mounted", mounted])).toMatchObject({ status: 0 });
});
const [watched, mounted] = [join(directory, "watched"), join(directory, "mounted")];

let made = 0;

async function watching(...more: readonly string[]) {
	const [log, images] = [join(directory, `log-${++made}`), join(directory, `images-${made}`)];
	const pid = begin([join(directory, "fanotify"), watched, mounted, ...more], { output: log });
	expect(await linesOf(log, 1)).toEqual(["watching"]);
	return { log, images, pid };
}

describe.skipIf(!able)(`a fanotify group${needs}`, () => {
	it("tells the revived of the same files and mounts", async () => {
		const { log, images, pid } = await watching();
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
		room().run(["sh", "-c", 'echo >"$1"', "sh", join(mounted, "other")]);
		expect(await linesOf(log, 3)).toEqual(["watching", `${join(watched, "file")} 8`, `${join(mounted, "other")} 8`]);
	});

	it("that is asked for permission is refused by name", async () => {
		const { images, pid } = await watching("permission");
		expect(necromancer("dump", "-t", `${pid}`, "-i", images).stderr).toBe(
			"necromancer: descriptor 3: is a fanotify group that is asked for permission, which this version cannot dump; let " +
				"/dev/null take its place with --missing-fds null, or leave it out with --missing-fds skip [ERR_UNSUPPORTED]\n",
		);
	});
});
