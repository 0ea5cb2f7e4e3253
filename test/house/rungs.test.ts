import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { describe, expect, it } from "vitest";

// Our own rules about the house: who may import whom, and where foreign packages come in.

const root = resolve(import.meta.dirname, "../..");
const src = join(root, "src");

/** The rung of each room, as the code map has it; imports go down only, and rooms on one rung do not know each other. */
const rungs: Readonly<Record<string, number>> = Object.fromEntries(
	[...readFileSync(join(src, "README.md"), "utf8").matchAll(/^\| (\d+) +\| `([\w.-]+)` +\|/gm)].map(
		([, rung, room]): [string, number] => [room ?? "", Number(rung)],
	),
);

const modules = readdirSync(src, { recursive: true, encoding: "utf8" }).filter(
	(name) => /\.ts$/.test(name) && !name.endsWith(".d.ts"),
);
const importsOf = (name: string): string[] =>
	[...readFileSync(join(src, name), "utf8").matchAll(/(?:\bfrom|\bimport)\s*\(?\s*"([^"]+)"/g)].map(
		([, target]) => target ?? "",
	);
const roomOf = (path: string): string => path.split("/")[0] ?? path;

describe("rungs", () => {
	it.each(modules)("%s imports downwards only", (name) => {
		for (const target of importsOf(name).filter((path) => path.startsWith("."))) {
			const room = roomOf(relative(src, resolve(src, dirname(name), target)));
			const own = roomOf(name);
			const from = rungs[own];
			const to = rungs[room];
			expect(from, `${own} is no room of the house`).toBeDefined();
			if (room === own || room === "package.json") continue;
			expect(to, `${name} imports ${target}, which is in no room`).toBeDefined();
			const foundation = to === 0 && from === 0;
			expect(foundation || Number(to) < Number(from), `${name} (rung ${from}) imports ${target} (rung ${to})`).toBe(
				true,
			);
		}
	});

	it("has no room in the code map that is not there", () => {
		const rooms = new Set([...modules.map(roomOf), "blob"]);
		expect(Object.keys(rungs).filter((room) => !rooms.has(room))).toEqual([]);
	});

	it("gives each foreign package one importing module", () => {
		const importers = new Map<string, Set<string>>();
		for (const name of modules)
			for (const target of importsOf(name).filter((path) => !path.startsWith(".") && !path.startsWith("node:"))) {
				const known = importers.get(target) ?? new Set();
				importers.set(target, known.add(name));
			}
		const crowded = [...importers]
			.filter(([, names]) => names.size > 1)
			.map(([target, names]) => `${target}: ${[...names].join(", ")}`);
		expect(crowded).toEqual([]);
	});

	it("has no room or file for leftovers", () => {
		expect(modules.filter((name) => /util|helper|manager/i.test(name))).toEqual([]);
	});

	it("keeps files small", () => {
		const long = modules.filter(
			(name) => !name.includes("generated/") && readFileSync(join(src, name), "utf8").split("\n").length > 300,
		);
		expect(long).toEqual([]);
	});
});
