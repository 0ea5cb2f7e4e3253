import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { figuresOf, type Measure } from "../../../scripts/bench/figures.mjs";
import { tableOf } from "../../../scripts/bench/table.mjs";

const dir = mkdtempSync(join(tmpdir(), "necromancer-bench-test-"));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const half = async (): Promise<number> => 0.05;
const whole = async (): Promise<number> => 0.1;
const figures = (sections: Readonly<Record<string, (measure: Measure) => unknown>>) =>
	figuresOf(sections, { dir, size: 1, runs: 1, cli: undefined });

it("has a row for a figure that fails, which says why, and measures the next", async () => {
	const found = await figures({
		first: async ({ compare, memory }) => {
			await compare("a copy", 1, ["sh", "-c", "echo 'disk|full' >&2; exit 3"], ["cp", whole]);
			await memory("… peak memory", 150, [process.execPath, "-e", "process.exit(2)"]);
			await compare("a rest", 1, half, ["cp", whole]);
		},
		second: () => {
			throw new Error("no room: unshare ended with 1");
		},
		third: ({ skip }) => skip("restore", "needs root"),
	});
	expect(found.map(({ name, verdict }) => [name, verdict])).toEqual([
		["a copy", "failed"],
		["… peak memory", "failed"],
		["a rest", "met"],
		["second", "failed"],
		["restore", "skipped"],
	]);
	const rows = tableOf(found).split("\n");
	const cells = rows.map((row) => row.replaceAll(/ +/g, " "));
	expect(cells[0]).toBe("| what | against | median | min–max | aim | verdict | milliseconds |");
	expect(cells[2]).toContain("| a copy | cp | | | | failed: disk\\|full (sh -c echo");
	expect(cells[4]).toBe("| a rest | cp | 0.50 | 0.50–0.50 | ≤ 1.00 | met | 50 : 100 |");
	expect(cells[5]).toBe("| second | | | | | failed: no room: unshare ended with 1 | |");
	expect(cells[6]).toBe("| restore | | | | | skipped: needs root | |");
	expect(new Set(rows.slice(0, -1).map((row) => row.length)).size).toBe(1);
});

it("gives each part a directory of its own, empty at its beginning and gone after it", async () => {
	const seen: string[][] = [];
	const part = ({ dir: own, at }: Measure): void => {
		seen.push(readdirSync(own));
		writeFileSync(at("images"), "");
	};
	await figures({ one: part, two: part });
	expect(seen).toEqual([[], []]);
	for (const name of ["one", "two"]) expect(existsSync(join(dir, name))).toBe(false);
});
