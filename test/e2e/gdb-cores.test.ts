import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { parseMaps } from "../support/builders/fixture-core.ts";
import { soon } from "../support/lives/living.ts";
import { ownRoom } from "../support/lives/own-room.ts";
import { canHaveRooms, linesOf } from "../support/lives/room.ts";
import { present } from "../support/present.ts";
import { hasGcc, hasTool } from "../support/tools.ts";

// gdb's cores do not tell protections, and leave out what files have as it was mapped: a program that needs both to go on.

const able = canHaveRooms() && hasGcc() && hasTool("gcore", ["-h"]);
const needs = able ? "" : " (needs root, unshare, nsenter, gcc and gcore)";

const { directory, room, necromancer, begin, clear } = ownRoom({ able }, () => {
	const source = join(import.meta.dirname, "../support/lives/left-out.c");
	execFileSync("gcc", ["-O1", "-w", "-pthread", "-o", program, source]);
});
const [program, log, images] = ["left-out", "log", "donor"].map((name) => join(directory, name)) as [
	string,
	string,
	string,
];
afterAll(() => {
	if (able) room().run(["sh", "-c", "rm -f /dev/shm/left-out.*"]);
});

const well = { status: 0, stdout: "", stderr: "" };

async function born(): Promise<number> {
	rmSync(log, { force: true });
	const pid = begin([program, directory]);
	expect(await soon(() => readdirSync(directory).includes("log"))).toBe(true);
	expect((await linesOf(log, 3)).length).toBeGreaterThanOrEqual(3);
	return pid;
}

/** What is mapped with which protection, but for the kernel's own. */
const protections = (pid: number): string[] =>
	parseMaps(readFileSync(room().path(`/proc/${pid}/maps`), "utf8"))
		.filter(({ name }) => !/^\[v/.test(name))
		.map(({ start, end, perms, name }) => `${start.toString(16)}-${end.toString(16)} ${perms} ${name}`);

async function killed(): Promise<{ readonly core: string; readonly pid: number; readonly before: readonly string[] }> {
	const pid = await born();
	room().run(["kill", "-STOP", `${pid}`]);
	const before = protections(pid);
	expect(room().run(["gcore", "-o", join(directory, "core"), `${pid}`])).toMatchObject({ status: 0 });
	await clear();
	return { core: join(directory, present(readdirSync(directory).find((name) => name === `core.${pid}`))), pid, before };
}

/** It counts on from where it was. */
async function expectCounting(from: number): Promise<void> {
	const all = await linesOf(log, from + 3);
	expect(all.length).toBeGreaterThanOrEqual(from + 3);
	expect(all).toEqual(all.map((_, i) => `tick ${i + 1}`));
}

describe.skipIf(!able)(`gdb's core of a program whose files it leaves out${needs}`, () => {
	it("goes on alone: shared memory can be written to, code runs, and what nothing may access stays so", async () => {
		const { core, pid, before } = await killed();
		const from = readFileSync(log, "utf8").split("\n").length - 1;
		const { status, stdout } = necromancer("raise", "--trust", "--json", "--fd", `3=${log}`, core);
		expect(status).toBe(0);
		expect(protections(pid).map((line) => line.replace(/rw-p (?=\/dev\/shm)/, "rw-s "))).toEqual(before);
		const said: { code: string; text: string; weight: string }[] = JSON.parse(stdout).findings;
		const told = said
			.filter(({ code }) => code === "protection")
			.map(({ weight, text }) => `${weight}: ${text}`)
			.sort()
			.reverse();
		expect(told).toEqual([
			expect.stringMatching(
				/^note: nothing may access it, though gdb's cores show it as readable: .*libc's records have it$/,
			),
			`caution: gdb's cores leave out what a file (${directory}/code) has as it was mapped; r-x is assumed, as other parts of it can be executed`,
			`caution: gdb's cores leave out what a file (/dev/shm/left-out.${pid}) has as it was mapped; rw- is assumed, as that is there to be shared`,
		]);
		room().run(["kill", "-CONT", `${pid}`]);
		await expectCounting(from);
	});

	it("with a donor has the sharing of its file too, which is called after its process", async () => {
		const donor = await born();
		expect(necromancer("dump", "-q", "-t", `${donor}`, "-i", images)).toEqual(well);
		await clear();
		const { core, pid, before } = await killed();
		const from = readFileSync(log, "utf8").split("\n").length - 1;
		expect(necromancer("raise", "--trust", "-q", "-i", images, core)).toEqual(well);
		expect(protections(pid)).toEqual(before);
		room().run(["kill", "-CONT", `${pid}`]);
		await expectCounting(from);
	});

	it("goes on where the file in /dev/shm that is named after it went with it: what was in it is lost, and no more", async () => {
		const { core, pid } = await killed();
		const from = readFileSync(log, "utf8").split("\n").length - 1;
		room().run(["rm", `/dev/shm/left-out.${pid}`]);
		const { status, stdout } = necromancer("raise", "--trust", "--json", "--run", "--fd", `3=${log}`, core);
		expect(status).toBe(0);
		expect(JSON.parse(stdout).findings).toContainEqual({
			...{ weight: "loss", code: "contents-lost", subject: expect.stringMatching(/^mapping 0x\w+$/) },
			text: `/dev/shm/left-out.${pid} is not here; shared memory of its own takes its place: 4096 of 4096 bytes are not in the core; they read as zeros`,
		});
		expect((await linesOf(log, from + 3)).slice(from, from + 3)).toEqual(["tick 1", "tick 2", "tick 3"]);
	});
});
