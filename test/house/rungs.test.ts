import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { describe, expect, it } from "vitest";
import { errnoNames } from "../../src/linux/errno.ts";
import { signalName } from "../../src/linux/signal.ts";

// Our own rules about the house: who may import whom, and where foreign packages come in.

const root = resolve(import.meta.dirname, "../..");
const src = join(root, "src");

/** The rung of each room (a folder, a sub-folder, a file), as the code map has it. */
const rungs: ReadonlyMap<string, number> = new Map(
	[...readFileSync(join(src, "README.md"), "utf8").matchAll(/^\| (\d+) +\| `([\w./-]+)` +\|/gm)].map(
		([, rung, room]): [string, number] => [room ?? "", Number(rung)],
	),
);

const modules = readdirSync(src, { recursive: true, encoding: "utf8" }).filter(
	(name) => /\.ts$/.test(name) && !name.endsWith(".d.ts"),
);
const targetsOf = (name: string): string[] =>
	[...readFileSync(join(src, name), "utf8").matchAll(/(?:\bfrom|\bimport)\s*\(?\s*"([^"]+)"/g)].map(
		([, target]) => target ?? "",
	);
/** Which modules of ours each imports, types too. */
const imports: ReadonlyMap<string, readonly string[]> = new Map(
	modules.map((name) => [
		name,
		targetsOf(name)
			.filter((target) => target.startsWith("."))
			.map((target) => relative(src, resolve(src, dirname(name), target)))
			.filter((target) => target !== "../package.json"),
	]),
);

/** A room of its own has what the map names: the file, or its folder. What a script wrote belongs to whoever uses it. */
const roomOf = (path: string): string => (rungs.has(path) ? path : dirname(path).replace(/\/generated$/, ""));

describe("the house", () => {
	it("has every module in a room of the code map, and every room of the map", () => {
		expect(modules.filter((name) => !rungs.has(roomOf(name)))).toEqual([]);
		expect([...rungs.keys()].filter((room) => !existsSync(join(src, room)))).toEqual([]);
	});

	it("imports downwards only, and no neighbour on the same rung", () => {
		const wrong = [...imports].flatMap(([name, targets]) =>
			targets
				.filter((target) => roomOf(target) !== roomOf(name))
				.filter((target) => !((rungs.get(roomOf(target)) ?? Infinity) < (rungs.get(roomOf(name)) ?? -1)))
				.map((target) => `${name} (rung ${rungs.get(roomOf(name))}) imports ${target} (${rungs.get(roomOf(target))})`),
		);
		expect(wrong).toEqual([]);
	});

	it("has no circle of imports", () => {
		const done = new Set<string>();
		const circles: string[] = [];
		const visit = (name: string, path: readonly string[]): void => {
			if (path.includes(name)) circles.push([...path.slice(path.indexOf(name)), name].join(" -> "));
			else if (!done.has(name)) {
				for (const target of imports.get(name) ?? []) visit(target, [...path, name]);
				done.add(name);
			}
		};
		for (const name of modules) visit(name, []);
		expect(circles).toEqual([]);
	});

	it("gives each foreign package one importing module", () => {
		const importers = new Map<string, Set<string>>();
		for (const name of modules)
			for (const target of targetsOf(name).filter((path) => !path.startsWith(".") && !path.startsWith("node:"))) {
				const known = importers.get(target) ?? new Set();
				importers.set(target, known.add(name));
			}
		const crowded = [...importers]
			.filter(([, names]) => names.size > 1)
			.map(([target, names]) => `${target}: ${[...names].join(", ")}`);
		expect(crowded).toEqual([]);
	});

	it("reads /proc in src/proc alone", () => {
		const code = (name: string): string =>
			readFileSync(join(src, name), "utf8").replace(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, "");
		const outside = modules.filter((name) => !name.startsWith("proc/") && name !== "bytes/own-descriptor.ts");
		// plans and batches name files of /proc for others to open; a module that opens files itself does not
		const readers = outside.filter(
			(name) => targetsOf(name).includes("node:fs") && /["`]\/proc(?:\/|["`])/.test(code(name)),
		);
		// what is read, and in which words its absence is told, is settled there
		const around = outside.filter((name) => imports.get(name)?.includes("proc/read.ts"));
		expect([...readers, ...around]).toEqual([]);
	});

	it("states the number of an errno, a signal or a capability once", () => {
		const known = new Set([...errnoNames.values(), ...Array.from({ length: 31 }, (_, i) => signalName(i + 1))]);
		const tables = ["linux/errno.ts", "linux/signal.ts", "linux/credentials.ts"];
		const again = modules
			.filter((name) => !tables.includes(name) && !name.includes("generated/"))
			.flatMap((name) =>
				[...readFileSync(join(src, name), "utf8").matchAll(/^(?:export )?const ([^=]*)= \[?-?\d/gm)].flatMap(
					([, names = ""]) =>
						[...names.matchAll(/\w+/g)]
							.filter(([word]) => known.has(word) || /^CAP_/.test(word))
							.map(([word]) => `${name}: ${word}`),
				),
			);
		expect(again).toEqual([]);
	});

	it("has no room or file for leftovers", () => {
		expect(modules.filter((name) => /util|helper|manager|common|misc/i.test(name))).toEqual([]);
	});

	it("keeps files small", () => {
		const long = modules.filter(
			(name) => !name.includes("generated/") && readFileSync(join(src, name), "utf8").split("\n").length > 300,
		);
		expect(long).toEqual([]);
	});
});
