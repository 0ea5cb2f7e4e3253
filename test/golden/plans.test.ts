import { readFileSync, writeFileSync } from "node:fs";
import { relative } from "node:path";
import { describe, expect, it } from "vitest";
import { type PlanVerb, planVerb } from "../../src/cli/plan/run.ts";
import { openTerminal } from "../../src/cli/terminal.ts";
import { fixtureNames, fixturePath } from "../support/builders/fixture-core.ts";
import { madeHost } from "../support/builders/made-host.ts";

/*
 * The plan of every donor, step by step, as `necromancer plan -v` prints it for one made-up host. UPDATE_GOLDEN=1 writes down
 * what it is now: read the difference before you keep it.
 */
const update = process.env["UPDATE_GOLDEN"] === "1";

/** As seen from here, so that no plan names the place of this folder. */
const imagesOf = (name: string): string => relative(process.cwd(), fixturePath(`${name}/images`));

async function planned(name: string, options: Partial<PlanVerb> = {}): Promise<string> {
	let text = "";
	const stdout = { write: (more: string) => (text += more) };
	const terminal = openTerminal({ stdout, stderr: { write: () => {} }, env: {} });
	await planVerb({ images: imagesOf(name), json: false, verbose: true, ...options }, terminal, madeHost);
	return text;
}

describe.each(fixtureNames)("plan of %s", (name) => {
	it("is the one written down", async () => {
		const file = fixturePath(`${name}/plan.txt`);
		const text = await planned(name);
		if (update) writeFileSync(file, text);
		expect(text, `${name}/plan.txt; UPDATE_GOLDEN=1 rewrites it`).toBe(readFileSync(file, "utf8"));
	});

	it("is the same each time, and says the same as JSON", async () => {
		const json = await planned(name, { json: true });
		expect(await planned(name, { json: true })).toBe(json);
		const value = JSON.parse(json);
		expect([value.schema, value.kind]).toEqual([1, "plan"]);
		const steps: { id: number; text: string; why: string }[] = value.lists.flatMap(
			({ steps }: { steps: unknown[] }) => steps,
		);
		expect(steps.map(({ id }) => id)).toEqual(steps.map((_, i) => i + 1));
		const text = await planned(name);
		for (const { text: line, why } of steps) {
			expect(text).toContain(line.replaceAll("\\", "\\\\"));
			expect(why).not.toBe("");
		}
	});

	it("opens no path that came from the images", () => {
		const calls = readFileSync(fixturePath(`${name}/plan.txt`), "utf8").split("\n");
		const paths = calls.flatMap((line) => {
			const [, call, args = ""] = /^ *\d+ +(\w+)\((.*?)\) (?:=|until)/.exec(line) ?? [];
			const opens = /^(?:open|openat|openat2|chdir|chroot|execve|truncate|mkdir|unlink)/.test(call ?? "");
			return opens ? [JSON.parse(/"(?:[^"\\]|\\.)*"/.exec(args)?.[0] ?? '""') as string] : [];
		});
		expect(paths.length).toBeGreaterThan(4);
		expect(
			paths.filter((path) => !/^\/proc\/self\/(?:oom_score_adj|coredump_filter|timens_offsets|fd\/\d+)$/.test(path)),
		).toEqual([]);
	});

	it("folds what is long, unless all is wanted", async () => {
		const [whole, folded] = [await planned(name), await planned(name, { verbose: false })];
		const lines = new Set(whole.split("\n").map((line) => line.replace(/ +# .*/, "")));
		for (const line of folded.split("\n").map((text) => text.replace(/ +# .*/, "")))
			if (!line.includes("(-v shows them)")) expect(lines).toContain(line);
	});
});
