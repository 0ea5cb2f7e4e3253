import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { afterAll, describe, expect, it } from "vitest";
import { show } from "../../src/cli/show/run.ts";
import { openTerminal } from "../../src/cli/terminal.ts";
import { fixtureNames, fixturePath, parseMaps } from "../support/builders/fixture-core.ts";

/*
 * What show says of every fixture, word for word. UPDATE_GOLDEN=1 writes down what it says now: read the difference before
 * you keep it. A show-core.json or show-images.json is compared where there is one.
 */
const update = process.env["UPDATE_GOLDEN"] === "1";

const scratch = mkdtempSync(join(tmpdir(), "necromancer-golden-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

/** The unpacked core, in a folder of its own so that it is called `core`. */
function coreOf(name: string): string {
	const path = join(scratch, name, "core");
	if (existsSync(path)) return path;
	mkdirSync(join(scratch, name));
	writeFileSync(path, gunzipSync(readFileSync(fixturePath(`${name}/core.gz`))));
	return path;
}

async function shown(path: string, json: boolean): Promise<string> {
	let text = "";
	const stdout = { write: (more: string) => (text += more) };
	await show(path, { json, verbose: false }, openTerminal({ stdout, stderr: { write: () => {} }, env: {} }));
	return text;
}

/** Holds what was shown against the file, or writes it. */
function compare(file: string, text: string): void {
	if (update) writeFileSync(fixturePath(file), text);
	expect(text, `${file}; UPDATE_GOLDEN=1 rewrites it`).toBe(readFileSync(fixturePath(file), "utf8"));
}

describe.each(fixtureNames)("show of %s", (name) => {
	const sources = [
		["core", () => coreOf(name)],
		["images", () => fixturePath(`${name}/images`)],
	] as const;

	it.each(sources)("%s", async (kind, path) => {
		compare(`${name}/show-${kind}.txt`, await shown(path(), false));
	});

	it.each(sources)("%s as JSON", async (kind, path) => {
		const json = await shown(path(), true);
		const file = `${name}/show-${kind}.json`;
		if (existsSync(fixturePath(file))) compare(file, json);
		const value = JSON.parse(json);
		expect([value.schema, value.kind]).toEqual([1, kind]);
		const [process = value] = value.processes ?? [];
		const maps = parseMaps(readFileSync(fixturePath(`${name}/${kind === "core" ? "dead" : "donor"}.maps`), "utf8"));
		const ranges = (process.mappings as { start: string; end: string; prot: string | null }[]).map(
			({ start, end, prot }) => `${start}-${end} ${prot ?? "?"}`,
		);
		// gdb leaves out what it cannot read, and does not know all protections
		const gdb = value.writer === "gdb";
		for (const { start, end, perms, name: what } of maps) {
			if (what.startsWith("[vvar") || (gdb && what === "")) continue;
			const range = `0x${start.toString(16)}-0x${end.toString(16)}`;
			expect(
				ranges.some((line) => line === `${range} ${perms.slice(0, 3)}` || (gdb && line.startsWith(range))),
				range,
			).toBe(true);
		}
	});
});
