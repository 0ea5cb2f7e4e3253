import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { compileLives } from "../support/lives/lives.ts";
import { ownRoom } from "../support/lives/own-room.ts";
import { canHaveRooms, linesOf } from "../support/lives/room.ts";
import { hasGcc } from "../support/tools.ts";

// A process that holds locks and a lease is dumped and brought back: others meet the same locks, and it is told of the same things.

const able = canHaveRooms() && hasGcc();
const needs = able ? "" : " (needs root, unshare, nsenter and gcc)";

const { directory, room, necromancer, begin } = ownRoom({ able }, () => compileLives(directory, ["locks"]));
const program = join(directory, "locks");

let made = 0;

/** A process with four files: bytes of the first are locked (POSIX), the second (OFD), the third (flock), the last is leased. */
async function holding() {
	const own = join(directory, `${++made}`);
	mkdirSync(own);
	const files = ["a", "b", "c", "d"].map((name) => join(own, name));
	for (const path of files) writeFileSync(path, "");
	const [log, images] = [join(own, "log"), join(own, "images")];
	const hold = (output: string): number => begin([program, "hold", ...files], { output });
	const pid = hold(log);
	expect(await linesOf(log, 1)).toEqual(["holding"]);
	const met = (): string[] => files.map((path) => room().run([program, "try", path]).stdout.trim());
	return { own, log, images, pid, hold, met };
}

describe.skipIf(!able)(`locks on files${needs}`, () => {
	it("are held by the revived, whoever tries them, and a lease that ends tells it", async () => {
		const { log, images, pid, met } = await holding();
		expect(necromancer("dump", "-t", `${pid}`, "-i", images, "-q")).toMatchObject({ status: 0, stderr: "" });
		const free = "free writable";
		expect(met()).toEqual([free, free, free, free]);
		expect(necromancer("restore", "-d", "-i", images)).toMatchObject({
			...{ status: 0, stderr: `restored process ${pid}\n` },
		});
		expect(met()).toEqual([
			"10+10 read; 100+0 write; free writable",
			"0+0 write; free writable",
			"locked writable",
			"free leased",
		]);
		expect(await linesOf(log, 2)).toEqual(["holding", "told of 1"]);
	});

	it("are taken again where a lease is being broken, and it is told but once", async () => {
		const { log, images, pid, met } = await holding();
		expect(met()[3]).toBe("free leased");
		expect(await linesOf(log, 2)).toEqual(["holding", "told of 1"]);
		for (const verb of [
			["dump", "-t", `${pid}`],
			["restore", "-d"],
		])
			expect(necromancer(...verb, "-i", images)).toMatchObject({ status: 0 });
		room().run(["kill", "-USR1", `${pid}`]);
		// F_UNLCK is what it has to become
		expect(await linesOf(log, 3)).toEqual(["holding", "told of 1", "lease 2"]);
		expect(met()[3]).toBe("free leased");
	});

	it("are refused where another has them by now, who is named, unless they are given up", async () => {
		const { own, images, pid, hold, met } = await holding();
		expect(necromancer("dump", "-t", `${pid}`, "-i", images, "-q")).toMatchObject({ status: 0 });
		const other = hold(join(own, "other"));
		expect(await linesOf(join(own, "other"), 1)).toEqual(["holding"]);
		const refused = necromancer("restore", "-d", "-i", images);
		expect(refused).toMatchObject({ status: 6, stdout: "" });
		expect(refused.stderr).toBe(
			`necromancer: ${own}/a: is locked by process ${other} (locks), expected it to be free for descriptor 3, which held a ` +
				"POSIX lock to write, from byte 100 on; end that process, or go on without the locks: --no-file-locks [ERR_HOST]\n",
		);
		room().run(["kill", "-9", `${other}`]);
		const without = necromancer("restore", "-d", "--no-file-locks", "-i", images);
		expect(without.stderr).toMatch(/^loss +descriptor 6: held a lease to read; it does not, as you wish$/m);
		expect(met()).toEqual(Array(4).fill("free writable"));
	});
});
