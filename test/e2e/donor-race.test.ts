import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync, readlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { soon } from "../support/lives/living.ts";
import { ownRoom } from "../support/lives/own-room.ts";
import { canHaveRooms, coresLandHere } from "../support/lives/room.ts";
import { present } from "../support/present.ts";
import { hasGcc } from "../support/tools.ts";

// A program whose threads had opened their files in another order than its donor's, elsewhere in memory.

const able = canHaveRooms() && coresLandHere() && hasGcc();
const needs = able ? "" : " (needs root, unshare, nsenter, gcc and a core_pattern that is a plain name)";

const source = join(import.meta.dirname, "../support/lives/racing.c");
const { directory, room, necromancer, begin, clear, kill } = ownRoom({ able }, () => {
	execFileSync("gcc", ["-O1", "-Wall", "-Wextra", "-pthread", "-o", program, source]);
});
const [program, log, images] = [join(directory, "racing"), join(directory, "log"), join(directory, "donor")];

const totals = (): number[] =>
	[...readFileSync(log, "utf8").matchAll(/^total (\d+)\n/gm)].map(([, total]) => Number(total));

/** The kernel's names of its descriptors, from 3 on. */
const links = (pid: number): string[] =>
	[4, 5, 6].map((number) => readlinkSync(room().path(`/proc/${pid}/fd/${number}`)).replace("anon_inode:", ""));

async function born(start: number, order: "early" | "late"): Promise<number> {
	writeFileSync(log, "");
	const pid = begin([program, log, `${start}`, order]);
	await soon(() => totals().length > 1);
	expect(totals().length).toBeGreaterThan(1);
	return pid;
}

/** It counts on from where the dead one was, in lines behind the first `before`, and its timer counts the processor time of its own thread. */
async function expectOn(pid: number, from: number, before: number): Promise<void> {
	await soon(() => totals().length > before + 1);
	expect(totals().slice(before)[0]).toBe(from + 1);
	expect(links(pid)).toEqual(["[timerfd]", "[eventpoll]", "[eventfd]"]);
	const tid = Math.max(...readdirSync(room().path(`/proc/${pid}/task`)).map(Number));
	expect(readFileSync(room().path(`/proc/${pid}/timers`), "utf8")).toContain(`ClockID: ${(~tid << 3) | 6}\n`);
}

describe.skipIf(!able)(`a donor whose threads had started in another order${needs}`, () => {
	it("lends its descriptors under the dead process's numbers, and its timer to the dead one's thread", async () => {
		const lender = await born(0, "late");
		expect(links(lender)).toEqual(["[eventpoll]", "[eventfd]", "[timerfd]"]);
		expect(necromancer("dump", "-q", "-t", `${lender}`, "-i", images)).toMatchObject({ status: 0, stderr: "" });
		await clear();
		// others ids than the donor's
		for (let i = 0; i < 5; i++) room().run(["true"]);
		const pid = await born(70_000, "early");
		const core = await kill(pid, "ABRT");
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
	});
});
