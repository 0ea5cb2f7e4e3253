import { join } from "node:path";
import { expect, test } from "vitest";
import { fromBuffer } from "../../../src/bytes/source.ts";
import { readCore } from "../../../src/core/core.ts";
import { openImageDir } from "../../../src/criu/image-dir.ts";
import type { PartialTask } from "../../../src/forest/partial-task.ts";
import type { Task } from "../../../src/forest/task.ts";
import { taskFromImages } from "../../../src/images/read/from-images.ts";
import { taskFromCore } from "../../../src/understand/from-core/from-core.ts";
import { type Relocation, relocateDonor, relocate as relocated } from "../../../src/understand/relocate.ts";
import { type BuiltCore, buildCore } from "../../support/builders/core-builder.ts";
import { writeDonor } from "../../support/builders/donor-builder.ts";
import { deadCore, EXE, EXE_BUILD_ID, LIBC, LIBC_BUILD_ID, livingDonor } from "../../support/builders/pair.ts";
import { scratch } from "../../support/scratch.ts";

const dead = (core: BuiltCore = deadCore()): PartialTask => taskFromCore(readCore(fromBuffer("core", buildCore(core))));
const NOTHING: Relocation = { found: new Map(), gone: new Set(), others: new Set() };
const relocate = (task: PartialTask, how: Partial<Relocation>): PartialTask => relocated(task, { ...NOTHING, ...how });
const filesOf = ({ memory }: PartialTask): string[] => [
	...new Set(
		memory.mappings.flatMap(({ file }) =>
			file === undefined ? [] : [`${file.path}${file.deleted ? " (deleted)" : ""}`],
		),
	),
];

test("nothing found and nothing gone changes nothing", () => {
	expect(relocate(dead(), {}).memory.mappings).toEqual(dead().memory.mappings);
});

test("files move with all that names them", () => {
	const moved = relocate(dead(), { found: new Map([[EXE, "/new/prog"]]) });
	expect(filesOf(moved)).toEqual(["/new/prog", LIBC]);
	expect(moved.memory.executable).toBe("/new/prog");
	expect(moved.memory.buildIds).toEqual(
		new Map([
			["/new/prog", EXE_BUILD_ID],
			[LIBC, LIBC_BUILD_ID],
		]),
	);
	const offsets = ({ memory }: PartialTask) =>
		memory.mappings.map(({ start, file, held }) => [start, file?.offset, held]);
	expect(offsets(moved)).toEqual(offsets(dead()));
});

test("a file that is known to be another is not held to the build-id", () => {
	const moved = relocate(dead(), { found: new Map([[LIBC, "/other"]]), others: new Set([LIBC]) });
	expect(filesOf(moved)).toEqual([EXE, "/other"]);
	expect([...moved.memory.buildIds]).toEqual([[EXE, EXE_BUILD_ID]]);
});

test("two files may change places", () => {
	const found = new Map([
		[EXE, LIBC],
		[LIBC, EXE],
	]);
	const moved = relocate(dead(), { found });
	expect(filesOf(moved)).toEqual([LIBC, EXE]);
	expect(moved.memory.executable).toBe(LIBC);
	expect(moved.memory.buildIds.get(LIBC)).toBe(EXE_BUILD_ID);
});

test("what is gone is as deleted, and keeps the name by which it is known", () => {
	const moved = relocate(dead(), { found: new Map([[LIBC, "/elsewhere"]]), gone: new Set([EXE, LIBC]) });
	expect(filesOf(moved)).toEqual([`${EXE} (deleted)`, `${LIBC} (deleted)`]);
	expect(moved.memory.executable).toBe(EXE);
});

test("a deleted file that is found has a name again, unless another file had taken its path", () => {
	const core = deadCore();
	const deleted = (select: (i: number) => boolean): BuiltCore => ({
		...core,
		files: (core.files ?? []).map((row, i) =>
			row.path === LIBC && select(i) ? { ...row, path: `${LIBC} (deleted)` } : row,
		),
	});
	const found = new Map([[LIBC, "/new/libc"]]);
	expect(filesOf(relocate(dead(deleted(() => true)), { found }))).toEqual([EXE, "/new/libc"]);
	expect(filesOf(relocate(dead(deleted((i) => i === 3)), { found }))).toEqual([EXE, `${LIBC} (deleted)`, "/new/libc"]);
});

test("a donor's mapped files move with those of the dead process, its descriptors stay", () => {
	const dir = openImageDir(writeDonor(join(scratch(), "d"), livingDonor()));
	try {
		const donor = taskFromImages(dir);
		const moved = relocateDonor(donor, { found: new Map([[EXE, "/new/prog"]]) });
		const paths = ({ memory }: Task): string[] => [
			...new Set(memory.mappings.flatMap(({ backing }) => (backing.kind === "file" ? [backing.path] : []))),
		];
		expect(paths(donor)).toEqual([EXE, LIBC]);
		expect(paths(moved)).toEqual(["/new/prog", LIBC]);
		expect(moved.memory.executable).toBe("/new/prog");
		const known = donor.memory.files.get(EXE);
		expect(moved.memory.files.get("/new/prog")).toEqual({ ...known, path: "/new/prog" });
		expect(moved.memory.files.has(EXE)).toBe(false);
		expect(moved.memory.files.get(LIBC)).toEqual(donor.memory.files.get(LIBC));
		expect(moved.files).toEqual(donor.files);
		expect(relocateDonor(donor, { found: new Map() })).toEqual(donor);
	} finally {
		dir.close();
	}
});
