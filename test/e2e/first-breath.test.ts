import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { type BuiltFileEntry, image, memfdFile, pipeFile, writeDonor } from "../support/builders/donor-builder.ts";
import { TTY_INFO, terminalInfo } from "../support/builders/terminal-image.ts";
import { built } from "../support/lives/built.ts";
import {
	compileFirstBreath,
	FIRST_FILE,
	type FirstBreath,
	firstBreath,
	otherVdso,
	VDSO_AT,
	type Vdso,
	vdsoHere,
	vdsoSymbols,
} from "../support/lives/first-breath.ts";
import { canHaveRooms, openRoom, type Room } from "../support/lives/room.ts";
import { present } from "../support/present.ts";
import { hasGcc, hasTool } from "../support/tools.ts";
import { delimited, framed, imageBytes, number } from "../support/witness/wire.ts";

/*
 * Processes whose images were made by hand, at their first instruction. What they find when they live (clocks, files,
 * attributes) they say themselves.
 */

const able = canHaveRooms() && hasGcc();
const needs = able ? "" : " (needs root, unshare, nsenter, and gcc with a static C library)";

const directory = mkdtempSync(join(tmpdir(), "necromancer-breath-"));
let [dist, program] = ["", ""];
beforeAll(() => {
	if (!able) return;
	dist = built();
	program = compileFirstBreath(directory);
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

/** A fown_entry of nobody. */
const nobody = [1, 2, 3, 4, 5].flatMap((field) => [...number(field, 0)]);

const rooms: Room[] = [];
afterEach(async () => {
	for (const room of rooms.splice(0)) await room.close();
});

const OUTPUT = FIRST_FILE;

interface Life {
	/** What it said, by lines. */
	readonly said: readonly string[];
	readonly status: number | null;
	readonly stderr: string;
}

/** Restores it, waits for its end, and says what it wrote to descriptor 1. */
async function lived(breath: Omit<FirstBreath, "program">, options: readonly string[] = []): Promise<Life> {
	const room = await openRoom();
	rooms.push(room);
	const output = join(room.temporary, "output");
	writeFileSync(output, "");
	const donor = firstBreath({
		...breath,
		program,
		files: [{ id: OUTPUT, name: output, flags: 0o102001, mode: 0o100644 }, ...(breath.files ?? [])],
		descriptors: [{ fd: 1, id: OUTPUT, type: 1 }, ...(breath.descriptors ?? [])],
	});
	const images = writeDonor(join(room.temporary, "images"), donor);
	const { status, stderr } = room.run([
		process.execPath,
		join(dist, "cli/main.js"),
		"restore",
		"-v",
		...options,
		"-i",
		images,
	]);
	return { status, stderr, said: readFileSync(output, "utf8").split("\n").slice(0, -1) };
}

describe.skipIf(!able)(`clocks after a restore${needs}`, () => {
	const names = ["__vdso_clock_gettime", "__vdso_gettimeofday", "__vdso_time", "__vdso_getcpu"];
	const timeOf = (vdso: Vdso): Promise<Life> => {
		const symbols = vdsoSymbols(vdso.image);
		const places = names.map((name) => VDSO_AT + BigInt(present(symbols.find((symbol) => symbol.name === name)).value));
		return lived({ vdso, args: ["time", ...places.map((at) => at.toString(16))] });
	};
	const right = [
		...["clock_gettime", "monotonic", "gettimeofday", "time", "getcpu", "clock_getres"],
		...["direct clock_gettime", "direct gettimeofday", "direct time", "direct getcpu"],
	].map((what) => `${what} right`);

	it("go on with this kernel's vdso where the process had it", async () => {
		const { said, status, stderr } = await timeOf(vdsoHere());
		expect({ said, status, stderr }).toEqual({ said: right, status: 23, stderr: expect.any(String) });
		expect(stderr).not.toContain("vdso");
	});

	it("go on in another kernel's vdso, whose functions lead to this kernel's", async () => {
		const other = otherVdso(vdsoHere());
		const { said, status, stderr } = await timeOf(other);
		expect({ said, status, stderr }).toEqual({ said: right, status: 23, stderr: expect.any(String) });
		const functions = new Set(vdsoSymbols(other.image).map(({ value }) => value)).size;
		expect(stderr).toContain(
			`note    vdso at 0x7fffe0006000: is another kernel's; ${functions} functions go on in this kernel's, 0 are system calls\n`,
		);
	});

	it("do so for a vdso with fewer clocks before it, as older kernels have", async () => {
		const { said, status } = await timeOf({ ...otherVdso(vdsoHere()), clocks: 0x4000n });
		expect({ said, status }).toEqual({ said: right, status: 23 });
	});
});

describe.skipIf(!able)(`memfds after a restore${needs}`, () => {
	const AT = 0x7000_0000_0000n;
	const page = (text: string): Buffer => Buffer.concat([Buffer.from(text), Buffer.alloc(4096 - text.length)]);
	const jit = {
		...{ inode: 7, shmid: 31, name: "jit", size: 5000, seals: 2, owner: [5, 6] as const, mode: 0o100640 },
		pages: [[0n, page("first page")]] as const,
	};
	const vma = { start: AT, end: AT + 0x1000n, prot: 3, flags: 1, status: 0x4081, shmid: 11, fdflags: 2 };

	it("are one file for descriptors and mappings, with offsets, flags, seals, owner and permissions", async () => {
		const { said, stderr } = await lived({
			vdso: vdsoHere(),
			args: ["fd:3", "fd:5", "same:3:5", "same:3:9", `shown:${AT.toString(16)}:5`, "fd:9"],
			files: [
				{ id: 11, type: 18, body: memfdFile(11, 7, 0o100002, 9) },
				{ id: 12, type: 18, body: memfdFile(12, 7, 0o100000) },
				{ id: 13, type: 18, body: memfdFile(13, 8, 0o102002) },
			],
			descriptors: [
				{ fd: 3, id: 11, type: 18 },
				{ fd: 5, id: 12, type: 18 },
				{ fd: 9, id: 13, type: 18 },
			],
			memfds: [jit, { inode: 8, shmid: 32, name: "none", size: 0 }],
			vmas: [vma],
		});
		expect(said).toEqual([
			"3: first page (23) at 9 of 5000, flags 100002, mode 100640, owner 5 6, links 0, seals 2",
			"5: first page (23) at 0 of 5000, flags 100000, mode 100640, owner 5 6, links 0, seals 2",
			"same:3:5 is right",
			"same:3:9 is wrong",
			`shown:${AT.toString(16)}:5 is right`,
			"9:  (0) at 0 of 0, flags 102002, mode 100777, owner 0 0, links 0, seals 1",
		]);
		expect(stderr).not.toContain("memfd");
	});

	it("are sealed against writing, by descriptor and by mapping", async () => {
		const { said } = await lived({
			vdso: vdsoHere(),
			args: ["fd:3", `sealed:${AT.toString(16)}:3`],
			files: [{ id: 11, type: 18, body: memfdFile(11, 7) }],
			descriptors: [{ fd: 3, id: 11, type: 18 }],
			memfds: [{ ...jit, seals: 15 }],
			vmas: [{ ...vma, prot: 1 }],
		});
		expect(said).toEqual([
			"3: first page (23) at 0 of 5000, flags 100002, mode 100640, owner 5 6, links 0, seals 15",
			`sealed:${AT.toString(16)}:3 is right`,
		]);
	});
});

describe.skipIf(!able)(`files without names after a restore${needs}`, () => {
	const AT = 0x7000_0000_0000n;
	const [REMAP, GHOST] = [0x59133954, 0x52583605];
	const remap = (...files: readonly number[]): Buffer =>
		image(REMAP, ...files.map((file) => [...number(1, file), ...number(2, 1), ...number(3, 1)]));
	const ghost = (mode: number, content: Buffer): Buffer =>
		imageBytes(GHOST, framed([...number(1, 5), ...number(2, 6), ...number(3, mode)]), [...content]);
	const named = (id: number, name: string, flags = 0o100002, position = 0): BuiltFileEntry => ({
		id,
		name,
		flags,
		position,
	});
	const mapped = { start: AT, end: AT + 0x1000n, prot: 3, flags: 1, status: 0x81, shmid: 11, fdflags: 2 };
	const private_ = { ...mapped, start: AT + 0x10_0000n, end: AT + 0x10_1000n, flags: 2, status: 0x41, shmid: 12 };

	it("are one file for descriptors and mappings, and have no name on the disk", async () => {
		const place = mkdtempSync(join(directory, "place-"));
		const path = join(place, "gone");
		const content = Buffer.concat([Buffer.from("ghost's content"), Buffer.alloc(4096, 1)]);
		const { said, stderr } = await lived({
			vdso: vdsoHere(),
			args: [
				...["fd:3", "fd:4", "same:3:4", `shown:${AT.toString(16)}:4`],
				`private:${(AT + 0x10_0000n).toString(16)}:3`,
			],
			files: [named(11, path, 0o100002, 5), named(12, path, 0o100000)],
			descriptors: [
				{ fd: 3, id: 11, type: 1 },
				{ fd: 4, id: 12, type: 1 },
			],
			vmas: [mapped, private_],
			extra: { "remap-fpath.img": remap(11, 12), "ghost-file-1.img": ghost(0o100604, content) },
		});
		expect(said).toEqual([
			"3: ghost's content\x01\x01\x01\x01\x01\x01\x01\x01 (23) at 5 of 4111, flags 100002, mode 100604, owner 5 6, links 0, seals -1",
			"4: ghost's content\x01\x01\x01\x01\x01\x01\x01\x01 (23) at 0 of 4111, flags 100000, mode 100604, owner 5 6, links 0, seals -1",
			"same:3:4 is right",
			`shown:${AT.toString(16)}:4 is right`,
			`private:${(AT + 0x10_0000n).toString(16)}:3 is right`,
		]);
		expect(stderr).not.toContain("without a name");
		expect(readdirSync(place)).toEqual([]);
	});

	it("are made elsewhere where their directory is gone too, and it is said", async () => {
		const { said, stderr } = await lived({
			vdso: vdsoHere(),
			args: ["fd:3"],
			files: [named(11, join(directory, "no such/gone"))],
			descriptors: [{ fd: 3, id: 11, type: 1 }],
			extra: { "remap-fpath.img": remap(11), "ghost-file-1.img": ghost(0o100600, Buffer.from("still here")) },
		});
		expect(said).toEqual(["3: still here (10) at 0 of 10, flags 100002, mode 100600, owner 5 6, links 0, seals -1"]);
		expect(stderr).toMatch(
			/^caution \S+\/no such\/gone, deleted: cannot be made without a name where it was; it lies in \S+ now$/m,
		);
	});

	it("may be the program itself, replaced while it ran", async () => {
		const old = readFileSync(program);
		const breath = { vdso: vdsoHere(), args: ["exe"] };
		const { said, status, stderr } = await lived({
			...breath,
			extra: { "remap-fpath.img": remap(2), "ghost-file-1.img": ghost(0o100755, old) },
		});
		expect({ said, status, stderr: expect.any(String) }).toEqual({
			said: ["exe is deleted"],
			status: 23,
			stderr,
		});
	});
});

describe.skipIf(!able)(`pipes after a restore${needs}`, () => {
	it("are the process's alone: they end with its last writer, and are broken without its last reader", async () => {
		const ends = [
			[3, pipeFile(21, 9, 0)],
			[4, pipeFile(22, 9, 1)],
			[5, pipeFile(23, 8, 0)],
			[6, pipeFile(24, 8, 1)],
		] as const;
		const { said, status } = await lived({
			vdso: vdsoHere(),
			args: ["pipe:3:4", "broken:5:6"],
			files: ends.map(([, body], i) => ({ id: 21 + i, type: 2, body })),
			descriptors: ends.map(([fd], i) => ({ fd, id: 21 + i, type: 2 })),
		});
		expect({ said, status }).toEqual({
			said: ["pipe:3:4 is right", "its end is right", "broken:5:6 is right"],
			status: 23,
		});
	});
});

describe.skipIf(!able)(`a process after a restore${needs}`, () => {
	it("is what it was to the kernel: subreaper, without huge pages, as likely to be sacrificed", async () => {
		const breath = { vdso: vdsoHere(), args: ["prctl:37", "prctl:42", "oom"] };
		const told = { oomScoreAdjust: 321, subreaper: true, hugePagesDisabled: true };
		expect((await lived({ ...breath, ...told })).said).toEqual([
			"prctl 37 is 1",
			"prctl 42 is 1",
			"oom_score_adj is 321",
		]);
		expect((await lived({ ...breath, oomScoreAdjust: 0 })).said).toEqual([
			"prctl 37 is 0",
			"prctl 42 is 0",
			"oom_score_adj is 0",
		]);
	});
});

const hasScript = able && hasTool("script");

describe.skipIf(!hasScript)(`terminals after a restore${hasScript ? "" : `${needs} (needs script)`}`, () => {
	const info = [...number(1, 12), ...number(2, 1), ...number(3, 0o100002), ...delimited(4, nobody), ...number(6, 13)];
	const files = [
		{ id: 12, type: 11, body: delimited(19, info) },
		{ id: 13, name: "/dev/pts/99" },
	];
	const breathOf = (...args: string[]) => ({
		...{ vdso: vdsoHere(), args, files },
		extra: { "tty-info.img": image(TTY_INFO, terminalInfo(1, 0x8863, 1, 99)) },
		// 1 is where it tells what it finds
		descriptors: [0, 2, 3].map((fd) => ({ fd, id: 12, type: 11 })),
	});

	it("are refused by name, unless something else may take their place", async () => {
		const { status, stderr } = await lived(breathOf("tty:0"));
		const was = [0, 2, 3].map(
			(fd) =>
				`${fd} was the terminal /dev/pts/99, whose other end none of these processes has (--shell-job gives it yours)`,
		);
		expect({ status, stderr }).toEqual({
			status: 6,
			stderr:
				`necromancer: descriptors 0, 2, 3: ${was.join(", ")}, which this version cannot restore; ` +
				"name another file with --fd 0=PATH, or let /dev/null take its place with --missing-fds null [ERR_UNSUPPORTED]\n",
		});
	});

	it("are /dev/null where that will do, still one description", async () => {
		const { said, status } = await lived(breathOf("tty:0", "shared:0:3"), ["--missing-fds", "null"]);
		expect({ said, status }).toEqual({ said: ["0 is no terminal", "shared:0:3 is right"], status: 23 });
	});

	it("are another terminal where one is named, one description where all name the same", async () => {
		const terminal = spawn("script", ["-qfc", "tty; exec cat >/dev/null", "/dev/null"], {
			stdio: ["pipe", "pipe", "ignore"],
		});
		const ended = once(terminal, "exit");
		try {
			const [name] = (await once(terminal.stdout, "data")) as [Buffer];
			const path = name.toString().trim();
			const there = [0, 2, 3].flatMap((fd) => ["--fd", `${fd}=${path}`]);
			const { said, status } = await lived(breathOf("tty:0", "tty:2", "tty:3", "shared:0:3", "shared:0:2"), there);
			expect({ said, status }).toEqual({
				said: [0, 2, 3].map((fd) => `${fd} is ${path}`).concat("shared:0:3 is right", "shared:0:2 is right"),
				status: 23,
			});
		} finally {
			terminal.stdin.end();
			await ended;
		}
	});
});
