import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { type RawNote, readRawCore } from "../witness/core-reader.ts";

const fixtures = new URL("../../../fixtures/", import.meta.url);

/** Every dead process, by name. A new directory is a new test. */
export const fixtureNames: readonly string[] = readdirSync(fixtures, { recursive: true, encoding: "utf8" })
	.filter((path) => path.endsWith("/core.gz"))
	.map((path) => path.slice(0, -"/core.gz".length))
	.sort();

/** A text file of a fixture. */
export const fixtureText = (name: string, file: string): string =>
	readFileSync(new URL(`${name}/${file}`, fixtures), "utf8");

/** The path of a file of the fixtures that is no text. */
export const fixturePath = (path: string): string => new URL(path, fixtures).pathname;

/** What origin.json says of how it died. */
export const fixtureOrigin = (name: string): { command: string[]; pid: number; death: string } =>
	JSON.parse(fixtureText(name, "origin.json"));

/** The bytes of a fixture's core. */
export const fixtureCore = (name: string): Buffer => gunzipSync(readFileSync(new URL(`${name}/core.gz`, fixtures)));

/** All notes of a fixture's core, in file order. */
export const fixtureNotes = (name: string): readonly RawNote[] => readRawCore(fixtureCore(name)).notes;

/** Unpacks cores into a directory of the test's own. Call `close` in the end. */
export function unpackedCores(): { path(name: string): string; close(): void } {
	const directory = mkdtempSync(join(tmpdir(), "necromancer-cores-"));
	const done = new Set<string>();
	return {
		path: (name) => {
			const path = join(directory, `${name}.core`);
			if (!done.has(name)) writeFileSync(path, fixtureCore(name));
			done.add(name);
			return path;
		},
		close: () => rmSync(directory, { recursive: true, force: true }),
	};
}

/** One line of /proc/PID/maps. */
export interface MapsLine {
	readonly start: bigint;
	readonly end: bigint;
	/** As "rwxp". */
	readonly perms: string;
	readonly offset: bigint;
	readonly name: string;
}

export const parseMaps = (text: string): MapsLine[] =>
	text
		.trim()
		.split("\n")
		.map((line) => {
			const [, start, end, perms = "", offset, name = ""] =
				/^([0-9a-f]+)-([0-9a-f]+) (\S+) ([0-9a-f]+) \S+ \d+ *(.*)$/.exec(line) ?? [];
			return { start: BigInt(`0x${start}`), end: BigInt(`0x${end}`), perms, offset: BigInt(`0x${offset}`), name };
		});
