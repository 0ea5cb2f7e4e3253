import { execFileSync } from "node:child_process";
import { chmodSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { built } from "../support/lives/built.ts";
import { soon } from "../support/lives/living.ts";
import { canHaveRooms, openRoom, type Ran, type Room } from "../support/lives/room.ts";
import { present } from "../support/present.ts";
import { hasGcc, need } from "../support/tools.ts";

// A program whose threads had opened their files in another order than its donor's, elsewhere in memory.

const coresLandHere = !/^[|@/]/.test(readFileSync("/proc/sys/kernel/core_pattern", "utf8"));
const able = canHaveRooms() && need("a core_pattern that is a plain name", coresLandHere) && hasGcc();
const needs = able ? "" : " (needs root, unshare, nsenter, gcc and a core_pattern that is a plain name)";

const source = join(import.meta.dirname, "../support/lives/racing.c");
const directory = mkdtempSync(join(tmpdir(), "necromancer-race-"));
const [program, log, images] = [join(directory, "racing"), join(directory, "log"), join(directory, "donor")];
let main = "";
let room: Room;
beforeAll(async () => {
	if (!able) return;
	main = join(built(), "cli/main.js");
	chmodSync(directory, 0o755);
	execFileSync("gcc", ["-O1", "-Wall", "-Wextra", "-pthread", "-o", program, source]);
	room = await openRoom();
});
afterAll(async () => {
	if (able) await room.close();
	rmSync(directory, { recursive: true, force: true });
});

const necromancer = (...args: readonly string[]): Ran => room.run([process.execPath, main, ...args]);
const totals = (): number[] =>
	[...readFileSync(log, "utf8").matchAll(/^total (\d+)\n/gm)].map(([, total]) => Number(total));

async function clear(): Promise<void> {
	for (const pid of room.pids()) room.run(["kill", "-KILL", `${pid}`]);
	expect(await soon(() => room.pids().length === 0)).toBe(true);
}

/** The kernel's names of its descriptors, from 3 on. */
const links = (pid: number): string[] =>
	[4, 5, 6].map((number) => readlinkSync(room.path(`/proc/${pid}/fd/${number}`)).replace("anon_inode:", ""));

async function born(start: number, order: "early" | "late"): Promise<number> {
	writeFileSync(log, "");
	const begin = 'cd "$1"; shift; ulimit -c unlimited; setsid "$@" </dev/null >/dev/null 2>&1 & echo $!';
	const pid = Number(room.run(["sh", "-c", begin, "sh", directory, program, log, `${start}`, order]).stdout);
	await soon(() => totals().length > 1);
	expect(totals().length).toBeGreaterThan(1);
	return pid;
}

/** It counts on from where the dead one was, in lines behind the first `before`, and its timer counts the processor time of its own thread. */
async function expectOn(pid: number, from: number, before: number): Promise<void> {
	await soon(() => totals().length > before + 1);
	expect(totals().slice(before)[0]).toBe(from + 1);
	expect(links(pid)).toEqual(["[timerfd]", "[eventpoll]", "[eventfd]"]);
	const tid = Math.max(...readdirSync(room.path(`/proc/${pid}/task`)).map(Number));
	expect(readFileSync(room.path(`/proc/${pid}/timers`), "utf8")).toContain(`ClockID: ${(~tid << 3) | 6}\n`);
}

describe.skipIf(!able)(`a donor whose threads had started in another order${needs}`, () => {
	it("lends its descriptors under the dead process's numbers, and its timer to the dead one's thread", async () => {
		const lender = await born(0, "late");
		expect(links(lender)).toEqual(["[eventpoll]", "[eventfd]", "[timerfd]"]);
		expect(necromancer("dump", "-q", "-t", `${lender}`, "-i", images)).toMatchObject({ status: 0, stderr: "" });
		await clear();
		// others ids than the donor's
		for (let i = 0; i < 5; i++) room.run(["true"]);
		const pid = await born(70_000, "early");
		room.run(["kill", "-ABRT", `${pid}`]);
		expect(await soon(() => room.pids().length === 0)).toBe(true);
		const core = join(directory, present(readdirSync(directory).find((name) => /^core/.test(name))));
		const last = present(totals().at(-1));
		const patched = join(directory, "patched");
		const { status, stdout, stderr } = necromancer("--trust", "-v", "-c", core, "-i", images, "-o", patched);
		expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
		expect(stdout).toContain(
			"numbers of descriptors: the donor's 4 is 5, the donor's 5 is 6, the donor's 6 is 4, as threads sleep in the same calls in both",
		);
		expect(stdout).toContain(
			"epoll descriptor 5: watches 6 with addresses, moved to this layout; what they lead to looks as in the donor",
		);
		const before = totals().length;
		expect(necromancer("restore", "--trust", "-d", "-i", patched)).toMatchObject({
			status: 0,
			stderr: `restored process ${pid}\n`,
		});
		await expectOn(pid, last, before);
		await clear();
		// and at once, without images
		const again = totals().length;
		expect(necromancer("raise", "--trust", "-q", "--run", "-i", images, core)).toMatchObject({ status: 0, stderr: "" });
		await expectOn(pid, last, again);
		await clear();
	});
});
