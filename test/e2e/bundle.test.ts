import { spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { describe, expect, it } from "vitest";
import { present } from "../support/present.ts";
import { scratch } from "../support/scratch.ts";

// What `npm run build` makes of the program: one file, and V8's bytecode of it. `npm test` builds first.

const root = resolve(import.meta.dirname, "../..");
const cli = join(root, "dist/cli");
const built = existsSync(join(cli, "package.json"));

/** A copy of the package as it is installed, without what it depends on. */
function installed(): { main: string; bytecode: string } {
	const path = scratch();
	mkdirSync(join(path, "dist"));
	cpSync(cli, join(path, "dist/cli"), { recursive: true });
	cpSync(join(root, "package.json"), join(path, "package.json"));
	const name = present(readdirSync(join(path, "dist/cli")).find((file) => /^main-.*\.bytecode$/.test(file)));
	return { main: join(path, "dist/cli/main.js"), bytecode: join(path, "dist/cli", name) };
}

const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));

const show = (main: string): string =>
	spawnSync(process.execPath, [main, "show", join(root, "fixtures/counter-static/images")], { encoding: "utf8" })
		.stdout;

describe.skipIf(!built)("the bundled program (needs npm run build)", () => {
	it("has all that it needs in one file", () => {
		const { main } = installed();
		const { status, stdout, stderr } = spawnSync(process.execPath, [main, "--version"], { encoding: "utf8" });
		expect({ status, stdout, stderr }).toEqual({ status: 0, stdout: `${version}\n`, stderr: "" });
		expect(show(main)).toContain("counter-static");
	});

	it.each([
		["is missing", () => undefined],
		// a word that V8 writes behind the first: which version it is
		[
			"was made by another Node",
			(bytes: Buffer) => Buffer.concat([bytes.subarray(0, 4), Buffer.of(1, 2, 3, 4), bytes.subarray(8)]),
		],
		["is empty", () => Buffer.alloc(0)],
	])("runs also where the bytecode %s", (_, damaged) => {
		const { main, bytecode } = installed();
		const expected = show(main);
		const bytes = damaged(readFileSync(bytecode));
		if (bytes === undefined) rmSync(bytecode);
		else writeFileSync(bytecode, bytes);
		expect(show(main)).toBe(expected);
	});

	it("names whose work it contains, with their licences", () => {
		const text = readFileSync(join(cli, "LICENSES"), "utf8");
		for (const [name, words] of [
			["chalk", "MIT License"],
			["commander", "The MIT License"],
			["protobufjs", "Redistribution and use in source and binary forms"],
			["long", "Apache License"],
		] as const) {
			expect(text).toMatch(new RegExp(`^${name} \\d`, "m"));
			expect(text).toContain(words);
		}
	});
});
