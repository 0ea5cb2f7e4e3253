import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { fromBuffer } from "../../../../src/bytes/source.ts";
import { readCore } from "../../../../src/core/core.ts";
import type { Verdict } from "../../../../src/forest/verdict.ts";
import { NOT_HERE } from "../../../../src/inputs/gone.ts";
import {
	codeAt,
	type OpenObject,
	programBreak,
	variablesOf,
} from "../../../../src/understand/evidence/program-objects.ts";
import { taskFromCore } from "../../../../src/understand/from-core/from-core.ts";
import { fixtureCore, fixturePath, fixtureText, parseMaps } from "../../../support/builders/fixture-core.ts";
import { judgedFor } from "../../../support/builders/judged.ts";
import { present } from "../../../support/present.ts";

const program = readFileSync(fixturePath("bin/counter-static"));
const dead = taskFromCore(readCore(fromBuffer("core", fixtureCore("counter-static"))));
const breakWith = (bytes: Buffer | undefined): bigint | undefined =>
	programBreak(
		dead.memory,
		judgedFor(dead, (path) =>
			bytes !== undefined && path === dead.memory.executable ? fromBuffer(path, bytes) : undefined,
		),
	);

test("is what the dead libc's own variable held, within the heap's last page", () => {
	const heap = present(parseMaps(fixtureText("counter-static", "dead.maps")).find(({ name }) => name === "[heap]"));
	const found = present(breakWith(program));
	expect(found > heap.end - 4096n && found <= heap.end).toBe(true);
});

test("is unknown without the program, with another build of it, and with a broken one", () => {
	expect(breakWith(undefined)).toBeUndefined();
	expect(breakWith(readFileSync(fixturePath("bin/counter")))).toBeUndefined();
	expect(breakWith(program.subarray(0, 5000))).toBeUndefined();
	expect(breakWith(Buffer.from("no ELF file"))).toBeUndefined();
});

describe("by the judge's verdict", () => {
	const open = (verdict: Verdict): OpenObject => {
		const file = { source: fromBuffer("counter-static", program), verdict };
		return (path) => (path === dead.memory.executable ? file : undefined);
	};
	const verdicts: readonly (readonly [Verdict, proven: boolean, possible: boolean])[] = [
		[{ kind: "same", proof: "build-id" }, true, true],
		[{ kind: "same", proof: "first-page" }, true, true],
		[{ kind: "same", proof: "headers" }, false, true],
		[{ kind: "same", proof: "identity" }, false, true],
		[{ kind: "plausible", short: 0n }, false, true],
		[{ kind: "different", finding: "has 5 bytes", expectation: "expected 4" }, false, false],
		[NOT_HERE, false, false],
	];
	const found = (verdict: Verdict, sameness: "proven" | "possible"): boolean =>
		[...variablesOf(dead.memory, open(verdict), { objects: /^$/ }, ["__curbrk"], sameness)].length > 0;

	test.each(verdicts)("%o: variables are taken where it is sure enough", (verdict, proven, possible) => {
		expect([found(verdict, "proven"), found(verdict, "possible")]).toEqual([proven, possible]);
	});

	test.each(verdicts)("%o: code that the core lacks is not that of another file", (verdict, _, possible) => {
		const text = present(dead.memory.mappings.find(({ file, prot }) => file !== undefined && prot === 5));
		const unheld = { ...dead.memory, read: () => undefined };
		expect(codeAt(unheld, open(verdict), text.start, 16) !== undefined).toBe(possible);
	});
});
