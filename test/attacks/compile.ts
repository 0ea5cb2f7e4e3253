import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll } from "vitest";

const made = new Map<string, string>();
const directories: string[] = [];

// whoever runs the tests ends its workers without a word: nothing of theirs would be done at their exit
afterAll(() => {
	for (const directory of directories.splice(0)) rmSync(directory, { recursive: true, force: true });
	made.clear();
});

/** A program of this directory, compiled once for a test file, whatever the options; gone with its last test. */
export function compile(name: string, ...options: readonly string[]): string {
	const known = made.get(name);
	if (known !== undefined) return known;
	const directory = mkdtempSync(join(tmpdir(), "necromancer-attack-bin-"));
	directories.push(directory);
	const program = join(directory, name);
	execFileSync("gcc", ["-O1", "-Wall", ...options, "-o", program, join(import.meta.dirname, `${name}.c`)]);
	made.set(name, program);
	return program;
}
