import { spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";
import { afterAll, afterEach, describe, expect, it } from "vitest";
import { fixtureNames } from "../support/builders/fixture-core.ts";
import { built } from "../support/lives/built.ts";
import { canBeFaulty } from "../support/lives/faulty.ts";
import { linesOf, openRoom, type Room } from "../support/lives/room.ts";
import { hasTool } from "../support/tools.ts";

// The dead and their donors are made here, of this host's programs: no package's build is needed.

const script = fileURLToPath(new URL("../../scripts/fixtures.mjs", import.meta.url));
const directory = mkdtempSync(join(tmpdir(), "necromancer-remade-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));
const rooms: Room[] = [];
afterEach(async () => {
	for (const room of rooms.splice(0)) await room.close();
});

const able = canBeFaulty() && hasTool("python3") && hasTool("perl", ["-e", "0"]) && hasTool("gcore", ["-h"]);
const needs = able
	? ""
	: " (needs root, unshare, nsenter, python3, perl, gcore and a core_pattern that is a plain name)";

describe.skipIf(!able)(`a fixture made anew${needs}`, () => {
	it.each(fixtureNames)("%s goes on in its donor's place", { timeout: 120_000 }, async (name) => {
		const dist = built();
		const env = { ...process.env, NECROMANCER_DIST: dist, CRIU: "/nowhere" };
		const made = spawnSync(process.execPath, [script, directory, name], { encoding: "utf8", env });
		expect(made.stderr).toBe("");
		expect(made.stdout).toMatch(new RegExp(`^${name}: pid \\d+, \\d+ lines; donor by necromancer `));
		const at = (file: string): string => join(directory, name, file);
		const room = await openRoom();
		rooms.push(room);
		const log = room.path(`/opt/victims/run/${name}/log`);
		cpSync(at("dead.log"), log, { recursive: true });
		const core = join(directory, `${name}.core`);
		writeFileSync(core, gunzipSync(readFileSync(at("core.gz"))));
		const program = (...args: readonly string[]) => room.run([process.execPath, join(dist, "cli/main.js"), ...args]);
		expect(program("-q", "--trust", "-c", core, "-i", at("images"))).toEqual({ status: 0, stdout: "", stderr: "" });
		expect(program("restore", "-d", "-i", at("images"))).toMatchObject({ status: 0, stdout: "" });
		const before = readFileSync(at("dead.log"), "utf8").trim().split("\n");
		const more = (await linesOf(log, before.length + 3)).slice(before.length);
		expect(more.length).toBeGreaterThanOrEqual(3);
		const [, seed] = /seed (\S+)/.exec(before.at(-1) ?? "") ?? [];
		const numberOf = (line: string): number => Number(/\d+/.exec(line)?.[0]);
		// gcore copied it while it lived: it wrote one more line before it was ended
		const first = numberOf(before.at(-1) ?? "") + (name === "threads-gcore" ? 0 : 1);
		expect(more.map(numberOf)).toEqual(more.map((_, i) => first + i));
		for (const line of more) expect(line).toContain(`seed ${seed} `);
	});
});
