import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/**
 * Makes a directory for the head of a PATH: its gdb can write the registers of any processor, see whole-xstate.c. Needs gcc.
 *
 * @param directory May be read by all.
 */
export function writingGdb(directory: string): string {
	const place = join(directory, "gdb-that-writes");
	mkdirSync(place, { mode: 0o755 });
	const library = join(place, "whole-xstate.so");
	const source = fileURLToPath(new URL("./whole-xstate.c", import.meta.url));
	execFileSync("gcc", ["-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"]);
	const gdb = execFileSync("sh", ["-c", "command -v gdb"], { encoding: "utf8" }).trim();
	writeFileSync(join(place, "gdb"), `#!/bin/sh\nLD_PRELOAD='${library}' exec '${gdb}' "$@"\n`, { mode: 0o755 });
	return place;
}
