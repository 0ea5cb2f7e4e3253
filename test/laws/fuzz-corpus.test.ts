import { cpSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { expect, test } from "vitest";
import { fromBuffer } from "../../src/bytes/source.ts";
import { readCore } from "../../src/core/core.ts";
import { openImageDir } from "../../src/criu/image-dir.ts";
import { patch } from "../../src/patch/patch.ts";
import { taskFromCore } from "../../src/understand/from-core/from-core.ts";
import { judgeCore, judgeImages, judgeObject, nothingHere } from "../fuzz/judge.ts";
import { fixtureCore, fixturePath } from "../support/builders/fixture-core.ts";
import { swollenCore } from "../support/builders/swollen-core.ts";
import { scratch } from "../support/scratch.ts";

// What `npm run fuzz` has ever found is judged here for good.

const corpus = resolve(import.meta.dirname, "../fuzz-corpus");
const names = readdirSync(corpus).filter((name) => name !== "README.md");

test.runIf(names.length > 0).each(names)("%s is an answer or a refusal", (name) => {
	const bytes = readFileSync(join(corpus, name));
	const [what = ""] = name.split(/\.[0-9a-f]{12}$/);
	if (what === "core") expect(judgeCore(bytes, fixturePath("counter/images"))).toBeUndefined();
	else if (what === "object") expect(judgeObject(bytes)).toBeUndefined();
	else {
		const [fixture = "", file = ""] = what.split("+");
		const path = join(scratch(), fixture);
		cpSync(fixturePath(`${fixture}/images`), path, { recursive: true });
		writeFileSync(join(path, file), bytes);
		expect(judgeImages(path)).toBeUndefined();
	}
});

test("the judge sees more than refusals", () => {
	expect(judgeCore(swollenCore({}), fixturePath("counter/images"))).toBeUndefined();
	expect(judgeCore(swollenCore({}), "/nowhere/at/all")).toBeUndefined();
	expect(judgeCore(undefined as unknown as Buffer, "/")).toMatch(/TypeError/);
});

test("the judge patches what is whole", () => {
	const dir = openImageDir(fixturePath("counter/images"));
	try {
		const dead = taskFromCore(readCore(fromBuffer("core", fixtureCore("counter"))));
		const { draft } = patch(dead, dir, { host: nothingHere, allowMismatch: true });
		expect([...draft.images.keys()]).toContain("pstree.img");
	} finally {
		dir.close();
	}
});
