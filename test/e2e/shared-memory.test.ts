import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync, rmSync } from "node:fs";
import { join, resolve } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { soon } from "../support/lives/living.ts";
import { ownRoom } from "../support/lives/own-room.ts";
import { canHaveRooms } from "../support/lives/room.ts";
import { hasGcc } from "../support/tools.ts";

// Memory that a parent and its children have in common, by every way there is, and memfds open in several of them.

const able = canHaveRooms() && hasGcc();
const needs = able ? "" : " (needs root, unshare, nsenter and gcc)";

/** What the program makes in memory that is a directory: it is not asked to clear up. */
const SHARED = "/dev/shm";

describe.skipIf(!able)(`memory of several processes${needs}`, () => {
	const own = ownRoom({ able }, () => {
		const source = resolve(import.meta.dirname, "../support/lives/shared-memory.c");
		execFileSync("gcc", ["-w", "-O1", "-o", join(own.directory, "shared-memory"), source]);
	});
	afterEach(() => {
		for (const name of readdirSync(SHARED)) if (/^necromancer-\d+$/.test(name)) rmSync(join(SHARED, name));
	});
	const log = (): string => join(own.directory, "log");
	/** What all three say in their turns. */
	const rounds = (): string[] => {
		const turns = readFileSync(log(), "utf8").replaceAll("\0", "").split("end\n").slice(0, -1);
		return Array.from({ length: Math.floor(turns.length / 3) }, (_, i) => turns.slice(3 * i, 3 * i + 3).join(""));
	};

	it("is one memory again, with its seals, positions and private pages", async () => {
		const pid = own.begin([join(own.directory, "shared-memory")], { output: log() });
		expect(await soon(() => rounds().length === 1)).toBe(true);
		own.room().run(["kill", "-USR1", `${pid}`]);
		expect(await soon(() => rounds().length === 2)).toBe(true);
		const images = join(own.directory, "images");
		expect(own.necromancer("dump", "-t", `${pid}`, "-i", images, "-q")).toMatchObject({ status: 0, stderr: "" });
		await own.empty();
		expect(own.necromancer("restore", "-d", "-i", images)).toMatchObject({ status: 0 });
		own.room().run(["kill", "-USR1", `${pid}`]);
		expect(await soon(() => rounds().length === 3)).toBe(true);
		expect(rounds()[2]).toBe(rounds()[1]);
		expect(rounds()[2]).toContain("mode 440, seals a 0 14, at 19");
	});
});
