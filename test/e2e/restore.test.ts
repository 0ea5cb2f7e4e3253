import { spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { openImageDir } from "../../src/criu/image-dir.ts";
import { taskFromImages } from "../../src/images/read/from-images.ts";
import { fixtureCore, fixtureNames, fixturePath, fixtureText, parseMaps } from "../support/builders/fixture-core.ts";
import { writeImagesOf } from "../support/builders/written-images.ts";
import { type Failure, walker } from "../support/faults/fail-walk.ts";
import { built } from "../support/lives/built.ts";
import { canHaveRooms, linesOf, openRoom, type Ran, type Room } from "../support/lives/room.ts";
import { saidRestored } from "../support/lives/said-restored.ts";
import { present } from "../support/present.ts";
import { hasTool } from "../support/tools.ts";
import { readImages } from "../support/witness/image-reader.ts";
import {
	differentPages,
	isOutside,
	masksOfImages,
	registersByGdb,
	registersOfImage,
	rseqAreas,
	stretches,
	vdsoAreas,
} from "../support/witness/restored-process.ts";
import { fileHere, regFilesOf, restoredMemory, vmasOf } from "../support/witness/witness.ts";

// Processes that live again: made by the program as a user runs it, each in namespaces of its own.

const able = canHaveRooms();
const needs = able ? "" : " (needs root, unshare and nsenter)";
const hasGdb = hasTool("gdb");

const directory = mkdtempSync(join(tmpdir(), "necromancer-restore-"));
let dist = "";
beforeAll(() => {
	dist = built();
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const rooms: Room[] = [];
async function roomFor(fixture: string): Promise<Room> {
	const room = await openRoom();
	rooms.push(room);
	room.putLog(fixture);
	return room;
}
afterEach(async () => {
	for (const room of rooms.splice(0)) await room.close();
});

const program = (room: Room, args: readonly string[], env: Record<string, string> = {}): Ran =>
	room.run([process.execPath, join(dist, "cli/main.js"), ...args], env);

const donorOf = (fixture: string): string => fixturePath(`${fixture}/images`);

/** A donor's images with the dead process's core patched in. */
function patched(room: Room, fixture: string): string {
	const images = mkdtempSync(join(directory, `${fixture}-`));
	cpSync(donorOf(fixture), images, { recursive: true });
	const core = join(directory, `${fixture}.core`);
	writeFileSync(core, fixtureCore(fixture));
	expect(program(room, ["-q", "-c", core, "-i", images])).toEqual({ status: 0, stdout: "", stderr: "" });
	return images;
}

/** The process of a directory of images: pid and threads. */
function treeOf(path: string): { pid: number; tids: number[] } {
	const [item] = readImages(path).records("pstree.img");
	return { pid: Number(present(item).number(1)), tids: present(item).numbers(5).map(Number) };
}

/** Files that the process has mapped and that this host has in another version, or not at all. */
function strangers(fixture: string): string[] {
	const images = readImages(donorOf(fixture));
	const [mm] = images.records(`mm-${treeOf(donorOf(fixture)).pid}.img`);
	// what maps a file, privately or shared (VMA_FILE_PRIVATE, VMA_FILE_SHARED)
	const mapped = new Set(
		vmasOf(present(mm))
			.filter(({ status }) => (status & 0xc0) !== 0)
			.map(({ shmid }) => Number(shmid)),
	);
	return [...regFilesOf(images).values()]
		.filter((file) => mapped.has(file.id) && fileHere(file) === undefined)
		.map(({ name }) => name);
}

const isLogOf = (fixture: string): RegExp =>
	fixture.startsWith("threads")
		? /^round (\d+) seed ([0-9a-f]+) answers right$/
		: /^count (\d+) seed ([0-9a-f]+) (?:sum ([0-9a-f]+) poked 0|len (\d+))$/;

interface Line {
	readonly number: number;
	readonly seed: string;
	/** What stays as it is. */
	readonly sum: string | undefined;
	/** What counts along. */
	readonly length: number | undefined;
}

function parsed(fixture: string, line: string): Line {
	const [, number, seed = "", sum, length] = isLogOf(fixture).exec(line) ?? [];
	if (number === undefined) throw new Error(`${fixture} wrote ${JSON.stringify(line)}`);
	return { number: Number(number), seed, sum, length: length === undefined ? undefined : Number(length) };
}

const MORE = 4;

/** Restores, and yields what the process appended to its log. */
async function lifeAfter(room: Room, fixture: string, images: string): Promise<Line[]> {
	const before = fixtureText(fixture, "dead.log").trim().split("\n").length;
	const { pid } = treeOf(images);
	const { status, stdout, stderr } = program(room, ["restore", "-d", "-i", images]);
	expect({ status, stdout, stderr }).toEqual({ status: 0, stdout: "", stderr: saidRestored(`${pid}`) });
	const lines = await linesOf(room.path(`/opt/victims/run/${fixture}/log`), before + MORE);
	expect(room.pids()).toEqual([pid]);
	expect(readdirSync(room.temporary)).toEqual([]);
	const more = lines.slice(before);
	expect(more.length).toBeGreaterThanOrEqual(MORE);
	return more.map((line) => parsed(fixture, line));
}

/** Numbers rise by one from the first, seed and sum stay, lengths are the numbers. */
function expectContinuous(lines: readonly Line[], first: Line): void {
	expect(lines).toEqual(
		lines.map((_, i) => ({
			...first,
			number: first.number + i,
			length: first.length === undefined ? undefined : first.number + i,
		})),
	);
}

describe.skipIf(!able)(`restored processes go on${needs}`, () => {
	for (const fixture of fixtureNames) {
		const others = strangers(fixture);
		if (others.length > 0) {
			it(`${fixture}: is refused, as this host has another ${others.join(", ")}`, async () => {
				const room = await roomFor(fixture);
				const { status, stdout, stderr } = program(room, ["restore", "-d", "-i", donorOf(fixture)]);
				expect({ status, stdout }).toEqual({ status: 5, stdout: "" });
				expect(stderr).toMatch(/ \[ERR_FILE_MISMATCH\]\n$/);
				for (const name of others) expect(stderr).toContain(name);
				expect(room.pids()).toEqual([]);
			});
			continue;
		}
		it(`${fixture}: the donor`, async () => {
			const lines = await lifeAfter(await roomFor(fixture), fixture, donorOf(fixture));
			const first = present(lines[0]);
			const dead = parsed(fixture, fixtureText(fixture, "dead.lastline").trim());
			expect(first.seed).not.toBe(dead.seed);
			expectContinuous(lines, { ...first, length: first.length === undefined ? undefined : first.number });
		});

		if (fixture.startsWith("threads"))
			it(`${fixture}: the donor, from images written anew`, async () => {
				const dir = openImageDir(donorOf(fixture));
				const images = join(mkdtempSync(join(directory, "anew-")), "images");
				expect(await writeImagesOf(taskFromImages(dir), images)).toEqual([]);
				dir.close();
				const lines = await lifeAfter(await roomFor(fixture), fixture, images);
				expectContinuous(lines, present(lines[0]));
			});

		it(`${fixture}: the dead process in its place`, async () => {
			const room = await roomFor(fixture);
			const lines = await lifeAfter(room, fixture, patched(room, fixture));
			const dead = parsed(fixture, fixtureText(fixture, "dead.lastline").trim());
			// gcore copied it while it lived: it wrote one more line before it was ended
			const number = dead.number + (fixture === "threads-gcore" ? 0 : 1);
			expectContinuous(lines, { ...dead, number });
		});
	}
});

const usable = (fixture: string): boolean => able && strangers(fixture).length === 0;
const lacking = (fixture: string): string =>
	able && !usable(fixture) ? ` (needs ${strangers(fixture).join(", ")} of the fixture)` : needs;

/** Restores a patched fixture and leaves it stopped; paths of its /proc as seen from here. */
async function stopped(fixture: string, images?: string) {
	const room = await roomFor(fixture);
	const path = images ?? patched(room, fixture);
	const { pid, tids } = treeOf(path);
	expect(program(room, ["restore", "-s", "-i", path])).toEqual({
		status: 0,
		stdout: "",
		stderr: saidRestored(`${pid}, stopped: kill -CONT ${pid} lets it go on`),
	});
	const proc = (name: string): string => room.path(`/proc/${pid}/${name}`);
	return { room, images: readImages(path), pid, tids, proc };
}

const field = (file: string, name: string): string =>
	present(new RegExp(`^${name}:\\s*(.*)$`, "m").exec(readFileSync(file, "latin1")))[1] ?? "";

for (const fixture of ["counter", "counter-static", "threads"])
	describe.skipIf(!usable(fixture))(`${fixture}, restored and left stopped${lacking(fixture)}`, () => {
		it("is stopped in every thread, with the masks and handlers of the images", async () => {
			const { images, pid, tids, proc } = await stopped(fixture);
			expect(readdirSync(proc("task")).map(Number).sort()).toEqual([...tids].sort());
			const masks = masksOfImages(images, pid);
			expect([...masks.keys()].sort()).toEqual([...tids].sort());
			for (const tid of tids) {
				const status = proc(`task/${tid}/status`);
				expect(field(status, "State")).toBe("T (stopped)");
				expect(field(status, "TracerPid")).toBe("0");
				for (const [name, mask] of Object.entries(present(masks.get(tid))))
					expect([tid, name, field(status, name)]).toEqual([tid, name, mask.toString(16).padStart(16, "0")]);
			}
		});

		it("shows every private page as the images have it, and maps nothing else", async () => {
			const { images, pid, proc } = await stopped(fixture);
			const memory = restoredMemory(images, pid);
			const vdso = vdsoAreas(memory);
			const { compared, wrong } = differentPages(proc("mem"), memory, [...rseqAreas(images), ...vdso]);
			expect(wrong).toEqual([]);
			expect(compared).toBeGreaterThan(200);
			const planned = memory.vmas.map(({ start, end, prot, flags }) => ({
				start,
				end,
				perms: ["r", "w", "x"].map((it, i) => ((prot >> i) & 1 ? it : "-")).join("") + ((flags & 1) === 1 ? "s" : "p"),
			}));
			const user = <T extends { readonly start: bigint }>(all: readonly T[]): T[] =>
				all.filter(({ start }) => start < 1n << 47n).filter(isOutside(vdso));
			expect(stretches(user(parseMaps(readFileSync(proc("maps"), "utf8"))))).toEqual(stretches(user(planned)));
		});

		it("has the descriptors of the images", async () => {
			const { images, proc } = await stopped(fixture);
			const fds = images.names
				.filter((name) => name.startsWith("fdinfo-"))
				.flatMap((name) => images.records(name).map((entry) => Number(entry.number(4))));
			const numeric = (a: number, b: number): number => a - b;
			expect(readdirSync(proc("fd")).map(Number).sort(numeric)).toEqual(fds.sort(numeric));
		});

		it.skipIf(!hasGdb)(`has the registers of the images in every thread${hasGdb ? "" : " (needs gdb)"}`, async () => {
			const { room, images, pid, tids } = await stopped(fixture);
			const actual = registersByGdb(room, pid);
			for (const tid of tids)
				expect([tid, actual.get(tid)]).toEqual([tid, registersOfImage(present(images.records(`core-${tid}.img`)[0]))]);
		});

		it("goes on when it is continued", async () => {
			const { room, pid } = await stopped(fixture);
			const log = room.path(`/opt/victims/run/${fixture}/log`);
			const before = fixtureText(fixture, "dead.log").trim().split("\n").length;
			expect((await linesOf(log, 0)).length).toBe(before);
			expect(room.run(["kill", "-CONT", `${pid}`]).status).toBe(0);
			const lines = await linesOf(log, before + MORE);
			const dead = parsed(fixture, fixtureText(fixture, "dead.lastline").trim());
			expectContinuous(
				lines.slice(before).map((line) => parsed(fixture, line)),
				{ ...dead, number: dead.number + 1 },
			);
		});
	});

/** For some 300 restores, each of which may take a second on a machine that has other things to do, milliseconds. */
const WALK = 570_000;

describe.skipIf(!usable("threads"))(`a step that fails${lacking("threads")}`, () => {
	const images = donorOf("threads");
	interface PlannedStep {
		readonly id: number;
		readonly call: string;
		readonly text: string;
	}
	const stepsOf = (room: Room): PlannedStep[] => {
		const { status, stdout } = program(room, ["plan", "-i", images, "--json"]);
		expect(status).toBe(0);
		const plan: { lists: { steps: PlannedStep[] }[] } = JSON.parse(stdout);
		return plan.lists.flatMap(({ steps }) => steps);
	};
	it("is named, also after the report socket is closed, and nothing survives it, whichever it is", {
		timeout: WALK + 30_000,
	}, async () => {
		const room = await roomFor("threads");
		const planned = stepsOf(room);
		const count = planned.length;
		expect(count).toBeGreaterThan(200);
		expect(planned.map(({ id }) => id)).toEqual(planned.map((_, i) => i + 1));
		const { status, stdout, stderr } = room.run([process.execPath, walker, dist, images, `${count}`], {}, WALK);
		expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
		const walk: Failure[] = JSON.parse(stdout);
		expect(walk.map(({ step }) => step)).toEqual(planned.map(({ id }) => id));
		const odd = walk.filter(({ step, code, exitStatus, message, left }) => {
			const said = message.startsWith(`step ${step} of ${count} (`);
			return !said || code !== "ERR_STEP_FAILED" || exitStatus !== 7 || left.length > 0;
		});
		expect(odd).toEqual([]);
		expect(readdirSync(room.temporary)).toEqual([]);
		expect(room.pids()).toEqual([]);
		expect(readFileSync(room.path("/opt/victims/run/threads/log"), "utf8")).toBe(fixtureText("threads", "dead.log"));
	});

	it("ends the command with status 7", async () => {
		const room = await roomFor("threads");
		const planned = stepsOf(room);
		const count = planned.length;
		for (const step of [1, 9, Math.floor(count / 2), count]) {
			const env = { NECROMANCER_FAIL_STEP: `${step}` };
			const { status, stdout, stderr } = program(room, ["restore", "-d", "-i", images], env);
			expect({ status, stdout }).toEqual({ status: 7, stdout: "" });
			expect(stderr).toMatch(new RegExp(`^necromancer: step ${step} of ${count} \\(.*\\[ERR_STEP_FAILED\\]\\n$`));
			expect(room.pids()).toEqual([]);
			expect(readdirSync(room.temporary)).toEqual([]);
		}
	});
});

describe.skipIf(!usable("counter-static"))(`an id that is taken${lacking("counter-static")}`, () => {
	it("is refused, and its holder named", async () => {
		const room = await roomFor("counter-static");
		const images = donorOf("counter-static");
		const { pid } = treeOf(images);
		expect(program(room, ["restore", "-s", "-i", images]).status).toBe(0);
		const { status, stdout, stderr } = program(room, ["restore", "-d", "-i", images]);
		expect({ status, stdout, stderr }).toEqual({
			status: 6,
			stdout: "",
			stderr:
				`necromancer: pid ${pid}: is taken by "counter-static", expected it to be free; ` +
				"restore into a new pid namespace with --pid-namespace, or with new ids with --fresh-ids [ERR_PID_TAKEN]\n",
		});
		expect(room.pids()).toEqual([pid]);
	});
});

// leave no doubt that this file's processes end with their rooms
it.skipIf(!able)(`a room takes its processes with it${needs}`, async () => {
	const room = await openRoom();
	room.run(["sh", "-c", "sleep 1000 >/dev/null 2>&1 &"]);
	expect(room.pids()).toHaveLength(1);
	await room.close();
	expect(() => room.pids()).toThrow();
	expect(spawnSync("test", ["-e", room.temporary]).status).toBe(1);
});
