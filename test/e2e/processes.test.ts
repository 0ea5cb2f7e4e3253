import { mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { type Failure, walker } from "../support/faults/fail-walk.ts";
import { built } from "../support/lives/built.ts";
import {
	asked,
	beginLife,
	changes,
	compileLives,
	dumpLife,
	type Life,
	look,
	more,
	necromancer,
	restoreLife,
	signal,
	standStill,
	tasksOf,
} from "../support/lives/lives.ts";
import { canHaveRooms, openRoom, type Room } from "../support/lives/room.ts";
import { hasGcc } from "../support/tools.ts";

// Processes of our own that are dumped, restored and go on; and are, as long as they stand still, what they were in every byte.

const able = canHaveRooms();
const gcc = hasGcc();
const needs = `${able ? "" : " (needs root, unshare and nsenter)"}${gcc ? "" : " (needs gcc)"}`;

const directory = mkdtempSync(join(tmpdir(), "necromancer-processes-"));
let dist = "";
beforeAll(() => {
	dist = built();
	if (able && gcc)
		compileLives(directory, [
			"vectors",
			"herd",
			"heap",
			"quilt",
			"objects",
			"clocks",
			"handlers",
			"station",
			"orphans",
			"ghosts",
		]);
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const rooms: Room[] = [];
afterEach(async () => {
	for (const room of rooms.splice(0)) await room.close();
});

async function begin(program: string, ...args: string[]): Promise<Life> {
	const room = await openRoom();
	rooms.push(room);
	return await beginLife(room, directory, dist, program, args);
}

/** From death to life, standing still on both sides: nothing has changed. How many pages were compared. */
async function reborn(life: Life): Promise<number> {
	await standStill(life);
	const before = await look(life);
	const images = await dumpLife(life);
	restoreLife(life, images, "-s");
	const after = await look(life, before);
	expect(changes(before, after)).toEqual([]);
	rmSync(images, { recursive: true });
	signal(life, "CONT");
	return before.pages.size;
}

/** From death to life at a run. */
async function revived(life: Life): Promise<void> {
	const images = await dumpLife(life);
	restoreLife(life, images, "-d");
	rmSync(images, { recursive: true });
}

describe.skipIf(!able || !gcc)(`a process of our own comes back as it was, and goes on${needs}`, () => {
	it("a thread on each processor, at work in all its registers (AVX-512, where the processor has it)", async () => {
		const life = await begin("vectors");
		await reborn(life);
		expect(await more(life, 3)).toHaveLength(3);
		await revived(life);
		for (const line of await more(life, 3)) expect(line).toMatch(/^\d+$/);
	});

	it("200 threads behind locks of all kinds: they are let go and joined, owners die, rseq is at work", async () => {
		const life = await begin("herd");
		await reborn(life);
		expect(tasksOf(life)).toHaveLength(204);
		expect(await asked(life)).toBe("joined 200 right");
	});

	it("files without a name, open and mapped, through two generations", async () => {
		const life = await begin("ghosts", directory);
		for (const question of [0, 1]) {
			await revived(life);
			expect(await asked(life)).toBe(`${question} right`);
		}
	});

	it("a heap of 2 GiB, of which 64 MiB are written", async () => {
		const life = await begin("heap", "2048", "32");
		expect(await reborn(life)).toBeGreaterThan(16_384);
		expect(await asked(life)).toBe(`${2048 * 256} pages right`);
	});

	const whole = process.env["NECROMANCER_TEST_2GIB"] !== undefined;
	const hint = whole ? "" : " (set NECROMANCER_TEST_2GIB: it writes as much to the disk)";
	it.skipIf(!whole)(`a heap of 2 GiB, all of which is written${hint}`, { timeout: 300_000 }, async () => {
		const life = await begin("heap", "2048", "1");
		expect(await reborn(life)).toBeGreaterThan(2048 * 256);
		expect(await asked(life)).toBe(`${2048 * 256} pages right`);
	});

	it("6000 mappings, no two neighbours of one protection", async () => {
		const life = await begin("quilt", "6000");
		await reborn(life);
		expect(await asked(life)).toBe("6000 patches right");
	});

	it("timers of all kinds ring in their threads, and those that are far off stay so; twice", async () => {
		const life = await begin("clocks");
		await revived(life);
		expect(await asked(life)).toBe("0 right");
		await revived(life);
		expect(await asked(life)).toBe("1 right");
	});

	it("handlers on alternate stacks return to what they had interrupted, and blocked signals come in their order", async () => {
		const life = await begin("handlers");
		await reborn(life);
		await revived(life);
		expect(await asked(life)).toBe("all right");
	});

	it("its place, its user and groups, its limits, niceness and name", async () => {
		const home = join(directory, "home");
		mkdirSync(home);
		const life = await begin("station", home);
		await reborn(life);
		expect(await asked(life)).toBe(`${home} 137 7 111 2001 2002 2003 1001 1002 1003 3 1`);
	});

	it("memfds with seals, memory in several places, pipes, counters, epolls, signals and timers: five lives", {
		timeout: 120_000,
	}, async () => {
		const life = await begin("objects");
		for (let generation = 0; generation < 5; generation++) {
			if (generation % 2 === 0) await reborn(life);
			else await revived(life);
			expect(await asked(life), `generation ${generation}`).toBe(`${generation} right`);
		}
	});
});

describe.skipIf(!able || !gcc)(
	`a step that fails in the plan of a process with memfds, pipes and timers${needs}`,
	() => {
		it("is named, and nothing survives it; every seventh, and then the process itself is well", async () => {
			const life = await begin("objects");
			const images = await dumpLife(life);
			const planned = necromancer(life, ["plan", "-i", images, "--json"]);
			const plan: { lists: { steps: unknown[] }[] } = JSON.parse(planned.stdout);
			const count = plan.lists.reduce((sum, { steps }) => sum + steps.length, 0);
			const open = (): number => readdirSync("/dev/shm").length;
			const before = open();
			const walked = life.room.run([process.execPath, walker, dist, images, `${count}`, "7"]);
			expect([walked.status, walked.stderr]).toEqual([0, ""]);
			const walk: Failure[] = JSON.parse(walked.stdout);
			expect(walk).toHaveLength(Math.ceil(count / 7));
			const odd = walk.filter(({ step, code, exitStatus, message, left }) => {
				const named = message.startsWith(`step ${step} of ${count} (`);
				return !named || code !== "ERR_STEP_FAILED" || exitStatus !== 7 || left.length > 0;
			});
			expect(odd).toEqual([]);
			expect([open(), readdirSync(life.room.temporary), life.room.pids()]).toEqual([before, [], []]);
			restoreLife(life, images, "-d");
			expect(await asked(life)).toBe("0 right");
		});
	},
);

describe.skipIf(!able || !gcc)(`what cannot come back is refused by its name, and goes on${needs}`, () => {
	it("processes whose first thread has ended before the others", async () => {
		const life = await begin("orphans");
		const refused = necromancer(life, ["dump", "-t", `${life.pid}`, "-i", join(directory, "never"), "-q"]);
		expect(refused).toEqual({
			status: 6,
			stdout: "",
			stderr: `necromancer: process ${life.pid}: goes on although its first thread has ended, which this version cannot dump [ERR_UNSUPPORTED]\n`,
		});
		expect(await more(life, 2)).toHaveLength(2);
	});
});
