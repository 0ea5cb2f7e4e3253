import { existsSync, lstatSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach } from "vitest";

const made: string[] = [];

afterEach(() => {
	for (const path of made.splice(0)) rmSync(path, { recursive: true, force: true });
});

/** An empty directory that goes away after the test. */
export function scratch(parent: string = tmpdir()): string {
	const path = mkdtempSync(join(parent, "necromancer-test-"));
	made.push(path);
	return path;
}

/** For tests that make files by the ten thousand: in memory where that is possible. */
export const quickScratch = (): string => scratch(existsSync("/dev/shm") ? "/dev/shm" : tmpdir());

/** Every entry of a directory by name: the content of files, and what other things are. Folders are not entered. */
export const contentsOf = (directory: string): Record<string, string> =>
	Object.fromEntries(
		readdirSync(directory)
			.sort()
			.map((name) => [name, entryText(join(directory, name))]),
	);

function entryText(path: string): string {
	const entry = lstatSync(path);
	if (entry.isSymbolicLink()) return `-> ${readlinkSync(path)}`;
	return entry.isFile() ? readFileSync(path, "latin1") : "(folder)";
}

/** `0600` and the like. */
export const modeOf = (path: string): string => (lstatSync(path).mode & 0o7777).toString(8).padStart(4, "0");
