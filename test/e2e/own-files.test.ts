import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, readlinkSync, rmSync } from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { soon } from "../support/lives/living.ts";
import { ownRoom } from "../support/lives/own-room.ts";
import { canHaveRooms, coresLandHere, linesOf } from "../support/lives/room.ts";
import { hasGcc } from "../support/tools.ts";

// A program that keeps a file which is named after its process, and its donor, which had another.

const able = canHaveRooms() && hasGcc() && coresLandHere();
const needs = able ? "" : " (needs root, unshare, nsenter, gcc and a core_pattern that is a plain name)";

const { directory, room, necromancer, begin, empty, clear, kill } = ownRoom({ able }, () => {
	execFileSync("gcc", ["-O1", "-w", "-o", program, join(import.meta.dirname, "../support/lives/own-file.c")]);
});
const [program, log, images, patched] = ["own-file", "log", "donor", "patched"].map((name) =>
	join(directory, name),
) as [string, string, string, string];
const own = (pid: number): string => join(directory, `count.${pid}`);
afterEach(async () => {
	if (!able) return;
	await clear();
	for (const name of readdirSync(directory))
		if (name !== "own-file") rmSync(join(directory, name), { recursive: true });
});
const well = { status: 0, stdout: "", stderr: "" };

async function born(): Promise<number> {
	const pid = begin([program, directory]);
	expect(await soon(() => existsSync(own(pid)))).toBe(true);
	return pid;
}

/** A donor, which then ended and took its file along, and the core of another. */
async function dead(): Promise<{
	readonly pid: number;
	readonly donor: number;
	readonly core: string;
	readonly lines: number;
}> {
	const donor = await born();
	expect(necromancer("dump", "-q", "-R", "-t", `${donor}`, "-i", images)).toEqual(well);
	room().run(["kill", "-TERM", `${donor}`]);
	await empty();
	expect(existsSync(own(donor))).toBe(false);
	const pid = await born();
	const core = await kill(pid, "ABRT");
	return { pid, donor, core, lines: readFileSync(log, "utf8").split("\n").length - 1 };
}

describe.skipIf(!able)(`a file that is named after its process${needs}`, () => {
	it("is the dead process's own, not the donor's, which is gone", async () => {
		const { pid, donor, core, lines } = await dead();
		const { status, stdout } = necromancer("raise", "--trust", "--json", "--run", "-i", images, core);
		expect(status).toBe(0);
		expect(JSON.parse(stdout).findings).toContainEqual({
			...{ weight: "note", code: "files-from-donor", subject: `descriptor 4 (${own(donor)})` },
			text: `is named after the donor's process; ${own(pid)} is that of the dead process`,
		});
		expect(readlinkSync(room().path(`/proc/${pid}/fd/4`))).toBe(own(pid));
		expect((await linesOf(log, lines + 3)).at(-1)).toMatch(/^tick \d+ 7$/);
		expect(existsSync(own(donor))).toBe(false);
	});

	it("is so in images too", async () => {
		const { pid, core, lines } = await dead();
		expect(necromancer("-q", "--trust", "-c", core, "-i", images, "-o", patched)).toEqual(well);
		expect(necromancer("restore", "-d", "-v0", "--trust", "-i", patched)).toEqual(well);
		expect(readlinkSync(room().path(`/proc/${pid}/fd/4`))).toBe(own(pid));
		expect((await linesOf(log, lines + 3)).at(-1)).toMatch(/^tick \d+ 7$/);
	});

	it("is lost where neither is left, and nothing else with it", async () => {
		const { pid, donor, core, lines } = await dead();
		rmSync(own(pid));
		const { status, stdout } = necromancer("raise", "--trust", "--json", "--run", "-i", images, core);
		expect(status).toBe(0);
		expect(JSON.parse(stdout).findings).toContainEqual({
			...{ weight: "loss", code: "files-from-donor", subject: `descriptor 4 (${own(donor)})` },
			text: `was named after the donor's process and is gone; that of the dead process, ${own(pid)}, is not here either: /dev/null takes its place`,
		});
		expect(readlinkSync(room().path(`/proc/${pid}/fd/4`))).toBe("/dev/null");
		expect((await linesOf(log, lines + 3)).at(-1)).toMatch(/^tick \d+ 7$/);
	});
});
