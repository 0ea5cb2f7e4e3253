import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { describe, expect, it } from "vitest";
import { losable } from "../../../src/dump/losable.ts";
import { type AttributeRow, attributeTable, namesIn } from "../../../src/forest/attribute-table.ts";
import { mappingAttributes, processAttributes, threadAttributes } from "../../../src/forest/attributes.ts";
import { hasGcc } from "../../support/tools.ts";

// The one table of attributes, held against whatever kernel and headers there are; and against what newer ones have, for that
// a test must not ask only what its machine knows.

const missing = (column: keyof AttributeRow, names: readonly string[]): string[] => {
	const known = namesIn(column);
	return names.filter((name) => !known.has(name));
};

describe("the table of attributes has", () => {
	it("every line of /proc/self/status", () => {
		const here = readFileSync("/proc/self/status", "latin1")
			.split("\n")
			.flatMap((line) => /^(\w+):/.exec(line)?.[1] ?? []);
		expect(here.length).toBeGreaterThan(30);
		const newer = [
			"Kthread",
			"NSpid",
			"THP_enabled",
			"untag_mask",
			"x86_Thread_features",
			"x86_Thread_features_locked",
		];
		expect(missing("status", [...here, ...newer])).toEqual([]);
	});

	it("every name in /proc/self, and every namespace", () => {
		const newer = ["arch_status", "ksm_stat", "timens_offsets", "seccomp_cache", "patch_state"];
		expect(missing("proc", [...readdirSync("/proc/self"), ...newer])).toEqual([]);
		expect(missing("ns", readdirSync("/proc/self/ns"))).toEqual([]);
	});

	const gcc = hasGcc();
	const headers = ["prctl", "resource", "sched"].map((name) => `#include <linux/${name}.h>\n`).join("");
	const text = gcc ? execFileSync("gcc", ["-dM", "-E", "-"], { input: headers, encoding: "utf8" }) : "";
	const macros = [...text.matchAll(/^#define (\w+) /gm)].map(([, name = ""]) => name);
	const named = (prefix: RegExp): string[] =>
		macros.flatMap((name) => (prefix.test(name) ? name.replace(prefix, "") : []));

	it.skipIf(!gcc)(`every question of prctl, limit and namespace of the headers${gcc ? "" : " (needs gcc)"}`, () => {
		const [asked, limits, namespaces] = [named(/^PR_(?=GET_)/), named(/^RLIMIT_/), named(/^CLONE_(?=NEW)/)];
		expect([asked.length > 15, limits.length > 15, namespaces.length > 6]).toEqual([true, true, true]);
		expect(missing("prctl", asked)).toEqual([]);
		// not resources, but their number and what else is said of them
		expect(
			missing(
				"limits",
				limits.filter((name) => !["NLIMITS", "OFILE"].includes(name)),
			),
		).toEqual([]);
		expect(missing("clone", namespaces)).toEqual([]);
	});

	it("those that older headers lack", () => {
		const newer = "GET_MDWE GET_MEMORY_MERGE GET_AUXV GET_SHADOW_STACK_STATUS GET_IO_FLUSHER GET_TAGGED_ADDR_CTRL";
		expect(missing("prctl", newer.split(" "))).toEqual([]);
		expect(missing("clone", ["NEWTIME", "NEWCGROUP"])).toEqual([]);
	});

	it("no name twice", () => {
		const names = attributeTable.map(({ name }) => name);
		expect(new Set(names).size).toBe(names.length);
		for (const column of ["status", "proc", "ns", "prctl", "limits", "clone"] as const) {
			const all = attributeTable.flatMap((row) => (row[column] ?? "").split(" ").filter(Boolean));
			expect(all.filter((name, i) => all.indexOf(name) !== i)).toEqual([]);
		}
	});

	it("a row for whatever a task carries besides, and a refusal for what can be given up", () => {
		const carried = { ...threadAttributes, ...processAttributes, ...mappingAttributes };
		expect(Object.keys(carried).length).toBeGreaterThan(15);
		expect(attributeTable.filter(({ fate }) => fate === "refused").length).toBeGreaterThan(Object.keys(losable).length);
	});

	it("its place in README", () => {
		const readme = readFileSync(join(resolve(import.meta.dirname, "../../.."), "README.md"), "utf8");
		for (const { name, fate, remark } of attributeTable)
			expect(readme).toContain(`| ${name} | ${fate} | ${remark ?? ""} |`);
	});
});
