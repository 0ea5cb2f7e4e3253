import { execFileSync } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, readdirSync, renameSync, rmSync, statSync } from "node:fs";
import { join, resolve } from "node:path";

const root = resolve(import.meta.dirname, "../../..");
/** Builds for tests, by the age of the sources. */
const builds = join(root, "node_modules/.necromancer-builds");

/**
 * Where the compiled program is, for tests that run it as a process of its own: `dist`, unless it is missing or older
 * than the sources (`npm test` builds it first); then a build of this moment, which all test files share. Nobody's `dist` is
 * touched: other tests may be running it.
 */
export function built(): string {
	const dist = join(root, "dist");
	const sources = newest(join(root, "src"), ".ts");
	if (existsSync(join(dist, "cli/main.js")) && sources <= newest(dist, ".js")) return dist;
	const place = join(builds, String(Math.floor(sources)));
	if (!existsSync(place)) build(place);
	return join(place, "dist");
}

/** Two at a time make two, and one of them stays. */
function build(place: string): void {
	const draft = `${place}.${process.pid}`;
	const tsc = join(root, "node_modules/typescript/bin/tsc");
	const out = join(draft, "dist");
	execFileSync(process.execPath, [tsc, "-p", join(root, "tsconfig.build.json"), "--noCheck", "--outDir", out]);
	copyFileSync(join(root, "package.json"), join(draft, "package.json"));
	try {
		renameSync(draft, place);
	} catch {
		rmSync(draft, { recursive: true });
	}
	forgetOld();
}

const DAY_MS = 86_400_000;

function forgetOld(): void {
	mkdirSync(builds, { recursive: true });
	for (const name of readdirSync(builds)) {
		const path = join(builds, name);
		const age = Date.now() - (statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? Date.now());
		if (age > DAY_MS) rmSync(path, { recursive: true, force: true });
	}
}

const newest = (directory: string, ending: string): number =>
	readdirSync(directory, { recursive: true, encoding: "utf8" })
		.filter((name) => name.endsWith(ending))
		.reduce((latest, name) => Math.max(latest, statSync(join(directory, name)).mtimeMs), 0);
