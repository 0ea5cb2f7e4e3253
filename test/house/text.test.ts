import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { describe, expect, it } from "vitest";
import { errorTable } from "../../src/errors.ts";
import { findingCodes } from "../../src/finding.ts";

const root = resolve(import.meta.dirname, "../..");
const tracked = execFileSync("git", ["ls-files", "-co", "--exclude-standard"], { cwd: root, encoding: "utf8" })
	.split("\n")
	.filter((name) => name !== "" && existsSync(join(root, name)));
const readme = readFileSync(join(root, "README.md"), "utf8");

describe("what is committed", () => {
	it("carries no download address in the lock file", () => {
		expect(readFileSync(join(root, "package-lock.json"), "utf8")).not.toMatch(/"resolved": "http/);
	});

	it("has no skipped or focused test", () => {
		const tests = tracked.filter((name) => /^test\/.*\.test\.ts$/.test(name) && !name.endsWith("house/text.test.ts"));
		const focused = tests.filter((name) =>
			/\b(?:it|test|describe)\.(?:only|todo)\b/.test(readFileSync(join(root, name), "utf8")),
		);
		expect(focused).toEqual([]);
	});
});

describe("README", () => {
	it("lists every error with its exit status, and every finding", () => {
		const rows = [
			...Object.entries(errorTable).map(([code, { exit, meaning }]) => `| \`${code}\` | ${exit} | ${meaning} |`),
			...Object.entries(findingCodes).map(([code, meaning]) => `| \`${code}\` | ${meaning} |`),
		];
		expect(rows.filter((row) => !readme.includes(row))).toEqual([]);
	});
});
