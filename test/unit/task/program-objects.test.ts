import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { fromBuffer } from "../../../src/bytes/source.ts";
import { readCore } from "../../../src/core/core.ts";
import { taskFromCore } from "../../../src/task/from-core/from-core.ts";
import { programBreak } from "../../../src/task/program-objects.ts";
import { fixtureCore, fixturePath, fixtureText, parseMaps } from "../../support/builders/fixture-core.ts";
import { judgedFor } from "../../support/builders/judged.ts";
import { present } from "../../support/present.ts";

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
