import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";

const root = resolve(import.meta.dirname, "../..");

/**
 * Where the compiled program is, for tests that run it as a process of its own: `dist`, unless it is missing or older
 * than the sources (`npm test` builds it first); then a build of this moment, in `directory`.
 */
export function built(directory: string): string {
	const dist = join(root, "dist");
	if (existsSync(dist) && newest(join(root, "src"), ".ts") <= newest(dist, ".js")) return dist;
	const out = join(directory, "dist");
	const tsc = join(root, "node_modules/typescript/bin/tsc");
	execFileSync(process.execPath, [tsc, "-p", join(root, "tsconfig.build.json"), "--noCheck", "--outDir", out]);
	writeFileSync(join(directory, "package.json"), '{ "type": "module" }');
	symlinkSync(join(root, "node_modules"), join(directory, "node_modules"));
	return out;
}

const newest = (directory: string, ending: string): number =>
	readdirSync(directory, { recursive: true, encoding: "utf8" })
		.filter((name) => name.endsWith(ending))
		.reduce((latest, name) => Math.max(latest, statSync(join(directory, name)).mtimeMs), 0);
