import fc from "fast-check";
import { expect, test } from "vitest";
import { hex } from "../../src/bytes/address.ts";
import { lengthOf, overlaps } from "../../src/bytes/range.ts";
import { fromBuffer } from "../../src/bytes/source.ts";
import { readCore } from "../../src/core/core.ts";
import { openImageDir } from "../../src/criu/image-dir.ts";
import type { PartialTask } from "../../src/forest/partial-task.ts";
import type { Task } from "../../src/forest/task.ts";
import { taskFromImages } from "../../src/images/read/from-images.ts";
import { countsOf, roomFor } from "../../src/plan/compile/room.ts";
import { holeOf } from "../../src/raise/hole.ts";
import { endAtFiles } from "../../src/understand/file-ends.ts";
import { taskFromCore } from "../../src/understand/from-core/from-core.ts";
import { relocate } from "../../src/understand/relocate.ts";
import { type BuiltCore, buildCore } from "../support/builders/core-builder.ts";
import { asleepIn, withGlibc, withMusl } from "../support/builders/deduced-core.ts";
import { fixtureCore, fixtureNames, fixturePath } from "../support/builders/fixture-core.ts";
import { deadCore, deadPlaces, P, withSegment } from "../support/builders/pair.ts";
import { understoodAlone, understoodWith } from "../support/builders/understood.ts";
import { withLoop } from "../support/builders/uv-loop.ts";

// The agent lives where it will make the process before anybody knows what that will be: whatever is found out then has to leave
// the place free, and be no more than fits.

const read = (core: Uint8Array): PartialTask => taskFromCore(readCore(fromBuffer("core", core)));

function expectRoom(hole: ReturnType<typeof holeOf>, task: Task): void {
	const inTheWay = task.memory.mappings.filter((mapping) => overlaps(mapping, hole));
	expect(inTheWay.map(({ start, end }) => `${hex(start)}-${hex(end)}`)).toEqual([]);
	expect(lengthOf(hole)).toBeGreaterThanOrEqual(roomFor(countsOf(task)));
}

/** Mappings around the place that a hole is looked for first. */
const NEAR = 0x2000_0000_0000n;
const mapping = fc.record({
	at: fc.bigInt({ min: -8n, max: 64n }),
	pages: fc.bigInt({ min: 1n, max: 3n }),
	held: fc.boolean(),
	path: fc.constantFrom(undefined, "/data", "/data (deleted)", "/memfd:x (deleted)", "/SYSV00000001 (deleted)"),
	size: fc.bigInt({ min: 0n, max: 4n * P }),
});

/** Far apart from each other, so that the gaps between them have room, and have not. */
const STEP = 1n << 21n;

function around(core: BuiltCore, extras: readonly (typeof mapping extends fc.Arbitrary<infer M> ? M : never)[]) {
	return [...new Map(extras.map((extra) => [extra.at, extra])).values()]
		.sort((a, b) => (a.at < b.at ? -1 : 1))
		.reduce((made, { at, pages, held, path }) => {
			const start = NEAR + at * STEP;
			const end = start + pages * P;
			const bytes = held ? { bytes: Buffer.alloc(Number(pages * P), 7) } : {};
			return withSegment(
				made,
				{ start, end, prot: 3, ...bytes },
				path === undefined ? undefined : { path, offset: 0n },
			);
		}, core);
}

const three = deadCore({ tids: [500, 501, 502] });
const cores: readonly BuiltCore[] = [
	withGlibc(three),
	withMusl(three),
	asleepIn(withGlibc(three), 501, 232, 9n, deadPlaces.heap, 8n, 1n),
	withLoop(withGlibc(three), { at: deadPlaces.heap + 0x1100n, backend: 3, signals: [6, 7] }),
];

test("a core alone leaves the hole free, whatever its files turn out to be", () => {
	fc.assert(
		fc.property(
			fc.constantFrom(...cores),
			fc.array(mapping, { maxLength: 12 }),
			fc.boolean(),
			(core, extras, found) => {
				const dead = read(buildCore(around(core, extras)));
				const hole = holeOf(dead, undefined, 0);
				const sizes = new Map(extras.map(({ size }) => ["/here/data", size]));
				const at = new Map(found ? [["/data", "/here/data"]] : []);
				const moved = relocate(dead, { found: at, gone: new Set(found ? [] : ["/data"]), others: new Set() });
				const { task } = understoodAlone(endAtFiles(moved, sizes), { modeOf: () => 0 });
				expectRoom(hole, task);
			},
		),
		{ numRuns: 300 },
	);
});

test.each(fixtureNames)("%s leaves it free, alone and with its donor", (name) => {
	const dead = read(fixtureCore(name));
	expectRoom(holeOf(dead, undefined, 0), understoodAlone(dead, { modeOf: () => 0 }).task);
	const dir = openImageDir(fixturePath(`${name}/images`));
	try {
		const donor = taskFromImages(dir);
		expectRoom(holeOf(dead, donor, 0), understoodWith(dead, donor, { allowMismatch: true }).task);
	} finally {
		dir.close();
	}
});
