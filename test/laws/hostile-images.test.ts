import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { expect, test } from "vitest";
import { openImageDir } from "../../src/criu/image-dir.ts";
import { NecromancerError } from "../../src/errors.ts";
import { taskFromImages } from "../../src/images/read/from-images.ts";
import { compilePlan } from "../../src/plan/compile/compile.ts";
import { assemble } from "../../src/program/assemble.ts";
import {
	type BuiltFileEntry,
	type BuiltVma,
	buildDonor,
	image,
	memfdFile,
	pipeFile,
} from "../support/builders/donor-builder.ts";
import { fixturePath } from "../support/builders/fixture-core.ts";
import { damaged, edits } from "../support/builders/image-damage.ts";
import { madeHost } from "../support/builders/made-host.ts";
import { filled, livingDonor, P } from "../support/builders/pair.ts";
import { TTY_INFO, terminalInfo } from "../support/builders/terminal-image.ts";
import { scratch } from "../support/scratch.ts";
import { delimited, framed, imageBytes, number } from "../support/witness/wire.ts";

// Images are hostile until proven otherwise: whatever is in them, they are planned or refused, and soon.

const facts = madeHost();

/** Every image of a donor but its pages, which are bytes of the process and nothing else. */
const imagesOf = (name: string): [string, Buffer][] => {
	const path = fixturePath(`${name}/images`);
	return readdirSync(path)
		.filter((file) => !file.startsWith("stats"))
		.map((file) => [file, readFileSync(join(path, file))]);
};

/** A change of one image: a byte, a number that is too large, a piece left out or there twice. */
const change = (length: number): fc.Arbitrary<(bytes: Buffer) => Buffer> => {
	const at = fc.nat(Math.max(0, length - 1));
	return fc.oneof(
		fc.tuple(at, fc.nat(255)).map(([i, byte]) => (bytes: Buffer) => {
			const other = Buffer.from(bytes);
			other[i] = byte;
			return other;
		}),
		fc
			.tuple(at, fc.constantFrom("ffffffff0f", "ffffffffffffffffff01", "8080808080808080807f", "ffffffffffffffff7f"))
			.map(([i, number]) => (bytes: Buffer) => {
				const other = Buffer.from(bytes);
				Buffer.from(number, "hex").copy(other, i);
				return other;
			}),
		at.map((i) => (bytes: Buffer) => bytes.subarray(0, i)),
		fc.tuple(at, fc.nat(40)).map(
			([i, count]) =>
				(bytes: Buffer) =>
					Buffer.concat([bytes.subarray(0, i), bytes.subarray(i + count)]),
		),
		fc.tuple(at, fc.nat(200)).map(
			([i, count]) =>
				(bytes: Buffer) =>
					Buffer.concat([bytes.subarray(0, i + count), bytes.subarray(i)]),
		),
	);
};

/** Far beyond what any takes, on any machine. */
const MOST_MILLISECONDS = 30_000;

const RUNS = Number(process.env["FUZZ_RUNS"] ?? 60);

function planned(path: string): string {
	try {
		const dir = openImageDir(path);
		try {
			assemble(compilePlan(taskFromImages(dir), facts, { fds: new Map(), missing: "null" }));
			return "planned";
		} finally {
			dir.close();
		}
	} catch (error) {
		if (error instanceof NecromancerError) return error.code;
		throw error;
	}
}

/** One of everything that a fixture has not: memfds, files without a name, queued bytes, epoll, timers, signals, guards. */
function handMade(): [string, Buffer][] {
	const donor = livingDonor();
	const at = 0x7f20_0018_0000n;
	const nobody = [1, 2, 3, 4, 5].flatMap((field) => number(field, 0));
	const body = (field: number, ...parts: readonly (readonly number[])[]): number[] => delimited(field, parts.flat());
	const flow = (field: number): number[] => delimited(field, nobody);
	const vma = (pages: bigint, more: Partial<BuiltVma>): BuiltVma => ({
		...{ start: at + pages * P, end: at + (pages + 1n) * P, prot: 3, flags: 1, status: 0x4081, shmid: 50, fdflags: 2 },
		...more,
	});
	const files: BuiltFileEntry[] = [
		{ id: 50, type: 18, body: memfdFile(50, 7) },
		{ id: 51, type: 18, body: memfdFile(51, 8, 0o100000, 9) },
		{ id: 52, name: "/tmp/gone", flags: 2, position: 3 },
		{ id: 53, name: "/tmp/linked" },
		{ id: 54, name: "/tmp/link_remap.1" },
		{ id: 55, type: 2, body: pipeFile(55, 9, 0) },
		{ id: 56, type: 2, body: pipeFile(56, 9, 1) },
		{ id: 57, type: 6, body: body(8, number(1, 57), number(2, 2), flow(3), number(4, 5)) },
		{
			...{ id: 58, type: 7 },
			body: body(
				9,
				number(1, 58),
				number(2, 2),
				flow(3),
				body(4, number(1, 0), number(2, 7), number(3, 1), number(4, 9)),
			),
		},
		{ id: 59, type: 9, body: body(10, number(1, 59), number(2, 2), flow(3), number(4, 0x3000)) },
		{
			...{ id: 60, type: 17 },
			body: body(
				12,
				...[number(1, 60), number(2, 2), flow(3), number(4, 1), number(5, 3), number(6, 1)],
				...[number(7, 5), number(8, 6), number(9, 7), number(10, 8)],
			),
		},
		{ id: 61, type: 11, body: body(19, number(1, 61), number(2, 6), number(3, 0o100002), flow(4), number(6, 63)) },
		{ id: 62, type: 11, body: body(19, number(1, 62), number(2, 7), number(3, 0o100002), flow(4), number(6, 64)) },
		{ id: 63, name: "/dev/pts/3" },
		{ id: 64, name: "/dev/ptmx" },
	];
	const [REMAP, GHOST, PIPES] = [0x59133954, 0x52583605, 0x56453709];
	const remap = (...values: readonly number[]): number[] => values.flatMap((value, i) => number(i + 1, value));
	const chunk = [...framed([...number(1, 4), ...number(2, 9)]), 1, 2, 3, 4];
	const built = buildDonor({
		...donor,
		files: [...donor.files, ...files],
		memfds: [
			{ inode: 7, shmid: 31, name: "jit", size: 8192, seals: 0, pages: [[P, filled(1)]] },
			{ inode: 8, shmid: 32, name: "sealed", size: 4096, seals: 15, pages: [[0n, filled(2)]] },
		],
		vmas: [
			...donor.vmas,
			vma(0n, {}),
			vma(1n, { shmid: 51, prot: 1 }),
			vma(2n, { status: 0x81, shmid: 52 }),
			vma(4n, { flags: 0x21, status: 0x101, shmid: 99 }),
			vma(6n, { flags: 0x21, status: 0x501, shmid: 5 }),
			vma(8n, { prot: 0, flags: 0, status: 0x10000 }),
		].sort((a, b) => (a.start < b.start ? -1 : 1)),
		descriptors: files.map(({ id, type = 1 }, i) => ({ fd: i, id, type })),
		posixTimers: [{ id: 2, value: 7n, seconds: 3 }],
		alarm: 3,
		...{ oomScoreAdjust: -3, subreaper: true, hugePagesDisabled: true },
		extra: {
			"tty-info.img": image(TTY_INFO, terminalInfo(7, 0x502, 0), terminalInfo(6, 0x8803, 0)),
			"remap-fpath.img": image(REMAP, remap(52, 1, 1), remap(53, 54, 0)),
			"ghost-file-1.img": imageBytes(
				GHOST,
				framed([...remap(5, 6, 0o100600), ...number(9, 1), ...number(10, 99)]),
				chunk,
			),
			"pipes-data.img": imageBytes(PIPES, framed([...number(1, 9), ...number(2, 3), ...number(3, 65536)]), [7, 8, 9]),
		},
	});
	return [...built];
}

for (const name of ["counter", "threads", "python3", "a process made by hand"]) {
	const files = name.includes(" ") ? handMade() : imagesOf(name);
	const small = files.filter(([file]) => !file.startsWith("pages-"));
	/** Writes one image of the directory anew, and plans what is there then. */
	const outcome = (path: string, file: string, bytes: Buffer): string => {
		const before = performance.now();
		const whole = small.find(([other]) => other === file)?.[1] ?? Buffer.of();
		writeFileSync(join(path, file), bytes);
		try {
			return planned(path);
		} finally {
			writeFileSync(join(path, file), whole);
			expect(performance.now() - before).toBeLessThan(MOST_MILLISECONDS);
		}
	};
	const directory = (): string => {
		const path = join(scratch(), name);
		mkdirSync(path);
		for (const [file, bytes] of files) writeFileSync(join(path, file), bytes);
		return path;
	};

	test(`images of ${name} with other numbers in them are planned or refused, and never more`, {
		timeout: 120_000,
	}, () => {
		const path = directory();
		const outcomes = new Set<string>();
		fc.assert(
			fc.property(fc.constantFrom(...small), edits, ([file, bytes], changes) => {
				outcomes.add(outcome(path, file, damaged(bytes, changes)));
			}),
			{ numRuns: RUNS },
		);
		expect(outcomes).toContain("planned");
		expect(outcomes).toContain("ERR_IMAGE_CORRUPT");
	});

	test(`damaged images of ${name} are planned or refused, and never more`, { timeout: 120_000 }, () => {
		const path = directory();
		const damage = fc
			.constantFrom(...small)
			.chain(([file, bytes]) =>
				fc.tuple(fc.constant(file), fc.array(change(bytes.length), { minLength: 1, maxLength: 3 })),
			);
		const outcomes = new Set<string>();
		fc.assert(
			fc.property(damage, ([file, changes]) => {
				const whole = small.find(([other]) => other === file)?.[1] ?? Buffer.of();
				outcomes.add(
					outcome(
						path,
						file,
						changes.reduce((bytes, edit) => edit(bytes), whole),
					),
				);
			}),
			{ numRuns: RUNS },
		);
		expect(outcomes.size).toBeGreaterThan(2);
	});
}
