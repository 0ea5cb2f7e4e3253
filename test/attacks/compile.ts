import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const made = new Map<string, string>();

/** A program of this directory, compiled once, whatever the options; gone with this process. */
export function compile(name: string, ...options: readonly string[]): string {
	const known = made.get(name);
	if (known !== undefined) return known;
	const directory = mkdtempSync(join(tmpdir(), "necromancer-attack-bin-"));
	process.once("exit", () => rmSync(directory, { recursive: true, force: true }));
	const program = join(directory, name);
	execFileSync("gcc", ["-O1", "-Wall", ...options, "-o", program, join(import.meta.dirname, `${name}.c`)]);
	made.set(name, program);
	return program;
}
