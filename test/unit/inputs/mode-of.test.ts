import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { modeOf } from "../../../src/inputs/mode-of.ts";
import { scratch } from "../../support/scratch.ts";

test("files and directories of this host have modes, what is not there has none", () => {
	const folder = scratch();
	const path = join(folder, "file \udcff");
	const name = Buffer.concat([Buffer.from(`${folder}/file `), Buffer.of(0xff)]);
	writeFileSync(name, "12345");
	chmodSync(name, 0o640);
	mkdirSync(join(folder, "d"), 0o700);
	expect(modeOf(path)).toBe(0o100640);
	expect(modeOf(join(folder, "d"))).toBe(0o040700);
	for (const missing of ["nothing", "file", "d/x", "with\0nul"]) {
		expect(modeOf(join(folder, missing))).toBeUndefined();
		expect(modeOf(join(path, missing))).toBeUndefined();
	}
});
