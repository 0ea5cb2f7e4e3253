import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { compileLives } from "../support/lives/lives.ts";
import { ownRoom } from "../support/lives/own-room.ts";
import { canHaveRooms, linesOf } from "../support/lives/room.ts";
import { hasGcc } from "../support/tools.ts";

// A process that holds others by descriptors is dumped and brought back with them: each descriptor is of the right one.

const able = canHaveRooms() && hasGcc();
const needs = able ? "" : " (needs root, unshare, nsenter and gcc)";

const { directory, room, necromancer, begin } = ownRoom({ able }, () => compileLives(directory, ["pidfds"]));
const program = join(directory, "pidfds");

describe.skipIf(!able)(`pidfds${needs}`, () => {
	it("are of itself, of a child, of one that has ended and of one that was waited for, when it is back", async () => {
		const [log, images] = [join(directory, "log"), join(directory, "images")];
		const pid = begin([program], { output: log });
		expect(await linesOf(log, 1)).toEqual(["ready"]);
		expect(necromancer("dump", "-t", `${pid}`, "-i", images, "-q")).toMatchObject({ status: 0, stderr: "" });
		expect(necromancer("restore", "-d", "-i", images)).toMatchObject({ status: 0 });
		room().run(["kill", "-USR1", `${pid}`]);
		// whose pidfd is there to be read has ended; the child is ended by its pidfd
		expect(await linesOf(log, 2)).toEqual(["ready", "right 0; right 0; right 1; right 1; right 0"]);
	});

	it("of a stranger are refused by name, unless they are given up", async () => {
		const [log, images] = [join(directory, "other-log"), join(directory, "other-images")];
		const pid = begin([program, "1"], { output: log });
		expect(await linesOf(log, 1)).toEqual(["ready 1"]);
		expect(necromancer("dump", "-t", `${pid}`, "-i", images).stderr).toBe(
			"necromancer: descriptor 3: is a pidfd of process 1, which is not dumped with it; let /dev/null take its place with " +
				"--missing-fds null, or leave it out with --missing-fds skip [ERR_UNSUPPORTED]\n",
		);
		const without = necromancer("dump", "-t", `${pid}`, "-i", images, "--missing-fds", "skip");
		expect(without.stdout).toMatch(/^loss +descriptor 3: was anon_inode:\[pidfd\]; it is closed$/m);
	});
});
