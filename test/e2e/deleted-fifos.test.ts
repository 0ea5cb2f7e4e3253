import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { ownRoom } from "../support/lives/own-room.ts";
import { canHaveRooms, linesOf } from "../support/lives/room.ts";

// A shell with a FIFO that has lost its name is dumped and brought back: what waited in it is there.

const able = canHaveRooms();
const needs = able ? "" : " (needs root, unshare and nsenter)";

const { directory, necromancer, begin } = ownRoom({ able }, () => {});

const SHELL = `cd "$1"; mkfifo gone go; exec 3<>gone 4<>go; rm gone; echo kept >&3; echo ready
read word <&4; read line <&3; echo "$word: $line"; echo more >&3; read line <&3; echo "$line"`;

describe.skipIf(!able)(`a deleted FIFO${needs}`, () => {
	it("comes back as a pipe, with what waited in it", async () => {
		const [log, images] = [join(directory, "log"), join(directory, "images")];
		const pid = begin(["sh", "-c", SHELL, "sh", directory], { output: log });
		expect(await linesOf(log, 1)).toEqual(["ready"]);
		expect(necromancer("dump", "-t", `${pid}`, "-i", images, "-q")).toMatchObject({ status: 0, stderr: "" });
		const restored = necromancer("restore", "-d", "-i", images);
		expect(restored.stderr).toMatch(
			/^caution +.*gone, deleted: was a FIFO; it is a pipe now, which never had a name$/m,
		);
		writeFileSync(join(directory, "go"), "go\n");
		expect(await linesOf(log, 3)).toEqual(["ready", "go: kept", "more"]);
	});
});
