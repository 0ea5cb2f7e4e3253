import { describe, expect, it } from "vitest";
import type { Description } from "../../../src/descriptors/kinds.ts";
import type { MappedFile } from "../../../src/forest/file-identity.ts";
import type { Task } from "../../../src/forest/task.ts";
import { differenceText } from "../../../src/inputs/file-findings.ts";
import { NOT_HERE } from "../../../src/inputs/gone.ts";
import type { FilePolicy } from "../../../src/plan/files/files.ts";
import { checkFiles, type FileMismatch, type OpenedAt, settleMismatches } from "../../../src/restore/files.ts";
import { refusal } from "../../support/refusal.ts";

const REGULAR = 0o100644;

/** A host of these files: mode, size, build-id. */
const host =
	(files: Readonly<Record<string, readonly [mode: number, size?: number, buildId?: string]>>): OpenedAt =>
	(path) => {
		const [mode, size = 0, buildId] = files[path] ?? [];
		return mode === undefined ? NOT_HERE : { mode, size: BigInt(size), buildId: () => buildId };
	};

function taskOf(
	mapped: readonly MappedFile[],
	open: readonly (readonly [number: number, description: object])[],
	cwd?: string,
): Task {
	const descriptors = open.map(([number, description]) => ({
		number,
		closeOnExec: false,
		description: { id: number, flags: 0, ...description } as Description,
	}));
	return {
		identity: { pid: 4711 },
		memory: { files: new Map(mapped.map((file) => [file.path, file])) },
		files: { descriptors, ...(cwd === undefined ? {} : { cwd }) },
	} as unknown as Task;
}

const file = (path: string, more: object = {}): object => ({
	kind: "file",
	path,
	position: 0n,
	unlinked: false,
	...more,
});
const texts = (mismatches: readonly FileMismatch[]): string[] =>
	mismatches.map(({ path, verdict, descriptors }) => {
		const text = verdict.kind === "gone" ? `${verdict.why}: ${verdict.because}` : differenceText(verdict);
		return `${path} ${text} (${descriptors.join(" ")})`;
	});

describe("checkFiles", () => {
	it("finds nothing where all is as it was, or nothing is said", () => {
		const here = host({ "/bin/p": [0o100755, 10, "abcdef01"], "/log": [REGULAR, 99], "/": [0o040755] });
		const task = taskOf(
			[{ path: "/bin/p", size: 10n, mode: 0o100755, buildId: "abcdef01" }],
			[
				[1, file("/log", { mode: REGULAR, size: 99n })],
				[2, file("/log")],
				[3, { kind: "pipe", pipe: { id: 1 } }],
				[4, file("/gone", { unlinked: true })],
			],
			"/",
		);
		expect(checkFiles(task, here)).toEqual([]);
	});

	it("finds a FIFO that would wait for its other end, where images name no mode, or name that as a file's", () => {
		const FIFO = 0o010644;
		const here = host({ "/fifo": [FIFO], "/log": [REGULAR] });
		const [WRONLY, RDWR, NONBLOCK, PATH] = [1, 2, 0o4000, 0o10000000];
		const open = (flags: number, more: object = {}) =>
			texts(checkFiles(taskOf([], [[3, file("/fifo", { flags, ...more })]]), here));
		const found = ["/fifo is a FIFO, expected a file (3)"];
		expect([0, WRONLY, RDWR, NONBLOCK, PATH].map((flags) => open(flags))).toEqual([found, found, [], [], []]);
		expect(open(0, { mode: FIFO })).toEqual(found);
	});

	// folklore: images hold build-ids padded to whole words; an id of 20 bytes has none, others may
	it("takes a build-id and its padded form for one", () => {
		const here = host({ "/lib": [REGULAR, 10, "abcdef0123"] });
		expect(checkFiles(taskOf([{ path: "/lib", buildId: "abcdef0123000000" }], []), here)).toEqual([]);
	});

	it("finds all that differ", () => {
		const here = host({
			"/lib/a": [REGULAR, 10, "11111111"],
			"/lib/b": [REGULAR, 10],
			"/log": [REGULAR, 5],
			"/data": [0o100600, 5],
			"/run/f": [REGULAR, 5],
		});
		const task = taskOf(
			[{ path: "/lib/a", buildId: "22222222" }, { path: "/lib/b", buildId: "22222222" }, { path: "/lib/c" }],
			[
				[3, file("/log", { size: 4n })],
				[4, file("/data", { mode: REGULAR })],
				[5, file("/gone")],
				[6, file("/gone", { size: 1n })],
				[7, file("/lib/c")],
				[8, { kind: "fifo", file: { path: "/run/f", mode: 0o010644 }, pipe: { id: 1 } }],
			],
			"/home",
		);
		expect(texts(checkFiles(task, here))).toEqual([
			"/lib/a has build-id 11111111, expected 22222222 ()",
			"/lib/b has build-id none, expected 22222222 ()",
			"/lib/c absent: is not here ()",
			"/log has 5 bytes, expected 4 (3)",
			"/data has mode 0100600, expected 0100644 (4)",
			"/gone absent: is not here (5 6)",
			"/run/f has mode 0100644, expected 010644 (8)",
			"/home absent: is not here ()",
		]);
	});

	it("passes over descriptors with another file in their place", () => {
		const task = taskOf([], [[3, file("/gone")]]);
		expect(checkFiles(task, host({}), new Map([[3, "/elsewhere"]]))).toEqual([]);
	});
});

describe("settleMismatches", () => {
	const strict: FilePolicy = { fds: new Map([[1, "/out"]]), missing: "error" };
	const gone: FileMismatch = { path: "/gone", verdict: NOT_HERE, descriptors: [5, 6] };
	const grown: FileMismatch = {
		path: "/log",
		verdict: { kind: "different", finding: "has 5 bytes", expectation: "expected 4" },
		descriptors: [3],
	};

	it("lets pass what has none", () => {
		expect(settleMismatches([], strict)).toEqual(strict);
	});

	it("refuses one, and several at once", () => {
		expect(refusal(() => settleMismatches([grown], strict))).toBe(
			"ERR_FILE_MISMATCH /log: has 5 bytes, expected 4; put back what the process had, or name another file with --fd N=PATH",
		);
		expect(refusal(() => settleMismatches([gone, { ...grown, path: "/lib", descriptors: [] }], strict))).toBe(
			"ERR_FILE_MISMATCH 2 files: /gone is not here (expected that file), /lib has 5 bytes (expected 4); " +
				"restore where the files are as they were",
		);
	});

	it("puts /dev/null in the place of what is not here, where that is asked for", () => {
		const lenient: FilePolicy = { ...strict, missing: "null" };
		expect(settleMismatches([gone], lenient)).toEqual({
			missing: "null",
			fds: new Map([
				[5, "/dev/null"],
				[6, "/dev/null"],
				[1, "/out"],
			]),
		});
		for (const other of [grown, { ...gone, descriptors: [] }])
			expect(refusal(() => settleMismatches([other], lenient))).toMatch(/^ERR_FILE_MISMATCH /);
	});
});
