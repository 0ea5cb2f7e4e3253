import { utimesSync, writeFileSync } from "node:fs";
import { uptime } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { ImageDir } from "../../../src/criu/image-dir.ts";
import type { ProcessClocks } from "../../../src/forest/clocks.ts";
import { forestOf } from "../../../src/forest/forest.ts";
import { rootOf } from "../../../src/forest/whole.ts";
import { clockOriginOf } from "../../../src/host/clocks.ts";
import { withImageClocks } from "../../../src/restore/image-clocks.ts";
import { smallTask } from "../../support/builders/small-task.ts";
import { scratch } from "../../support/scratch.ts";

const SECOND = 1_000_000_000n;
const here = (): ProcessClocks => ({
	monotonic: process.hrtime.bigint(),
	boottime: BigInt(Math.round(uptime() * 1e9)),
	witness: "read",
});

/** The origin of a process whose images say these clocks and were written now, or some seconds ago. */
function originOf(clocks: ProcessClocks, { ago = 0, name = "timens-0.img" } = {}) {
	const path = scratch();
	writeFileSync(join(path, name), "");
	const when = Date.now() / 1000 - ago;
	utimesSync(join(path, name), when, when);
	const dir = { path, names: [name] } as unknown as ImageDir;
	return rootOf(withImageClocks(forestOf([smallTask({ clocks })]), dir, undefined).forest).clocks?.origin;
}

test("images that were written when this host's clocks showed what they say are of this boot", () => {
	expect(originOf(here())).toEqual(clockOriginOf("self"));
});

test("others are not, nor those of which nothing tells", () => {
	const now = here();
	expect(originOf({ ...now, monotonic: now.monotonic + 60n * SECOND })).toBeUndefined();
	expect(originOf({ ...now, boottime: (now.boottime ?? 0n) + 60n * SECOND })).toBeUndefined();
	expect(originOf(now, { ago: uptime() + 3600 })).toBeUndefined();
	expect(originOf(now, { name: "core-1.img" })).toBeUndefined();
});

test("an origin that is known stays", () => {
	const origin = { boot: "another", offsets: { monotonic: 1n, boottime: 2n } };
	expect(originOf({ ...here(), origin })).toEqual(origin);
});

test("what the user says goes before, and is noted", () => {
	const dir = { path: "", names: [] } as unknown as ImageDir;
	const { forest, findings } = withImageClocks(forestOf([smallTask({ clocks: here() })]), dir, 7n * SECOND);
	expect(rootOf(forest).clocks).toEqual({ monotonic: 7n * SECOND, witness: "given" });
	expect(findings).toMatchObject([{ weight: "note", code: "clock", text: "goes on from 7.000 s, as was asked for" }]);
});
