import { execFileSync } from "node:child_process";
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { built } from "../support/lives/built.ts";
import { soon } from "../support/lives/living.ts";
import { canHaveRooms, openRoom, type Ran, type Room } from "../support/lives/room.ts";
import { present } from "../support/present.ts";
import { hasTool, need } from "../support/tools.ts";

// A Go program whose threads have signal stacks of their own, elsewhere than its donor's have theirs.

const coresLandHere = !/^[|@/]/.test(readFileSync("/proc/sys/kernel/core_pattern", "utf8"));
const able = canHaveRooms() && need("a core_pattern that is a plain name", coresLandHere) && hasTool("go", ["version"]);
const needs = able ? "" : " (needs root, unshare, nsenter, go and a core_pattern that is a plain name)";

const THREADS = 6;
const source = join(import.meta.dirname, "../support/lives/signal-stacks.go");
const directory = mkdtempSync(join(tmpdir(), "necromancer-go-"));
const [program, log] = [join(directory, "signal-stacks"), join(directory, "log")];
let main = "";
let room: Room;
beforeAll(async () => {
	if (!able) return;
	main = join(built(), "cli/main.js");
	chmodSync(directory, 0o755);
	execFileSync("go", ["build", "-o", program, source], {
		env: { ...process.env, CGO_ENABLED: "0", GO111MODULE: "off" },
	});
	room = await openRoom();
}, 120_000);
afterAll(async () => {
	if (able) await room.close();
	rmSync(directory, { recursive: true, force: true });
});

const necromancer = (...args: readonly string[]): Ran => room.run([process.execPath, main, ...args]);
const lines = (): string[] => readFileSync(log, "utf8").split("\n").slice(0, -1);

async function clear(): Promise<void> {
	for (const pid of room.pids()) room.run(["kill", "-KILL", `${pid}`]);
	expect(await soon(() => room.pids().length === 0)).toBe(true);
}

/** What each thread says, once all have said something beyond the first `from` lines. */
async function saidBy(from: number): Promise<ReadonlyMap<string, string>> {
	const said = (): ReadonlyMap<string, string> =>
		new Map(
			lines()
				.slice(from)
				.map((line) => [line.split(" ").slice(0, 2).join(" "), line]),
		);
	await soon(() => said().size === THREADS);
	expect([...said().keys()].length).toBe(THREADS);
	return said();
}

async function born(
	...how: readonly string[]
): Promise<{ readonly pid: number; readonly said: ReadonlyMap<string, string> }> {
	writeFileSync(log, "");
	const begin = 'cd "$1"; shift; ulimit -c unlimited; setsid "$@" </dev/null >/dev/null 2>&1 & echo $!';
	const { stdout } = room.run(["sh", "-c", begin, "sh", directory, program, log, ...how]);
	return { pid: Number(stdout), said: await saidBy(0) };
}

async function dead(
	...how: readonly string[]
): Promise<{ readonly core: string; readonly said: ReadonlyMap<string, string> }> {
	for (const name of readdirSync(directory)) if (/^core/.test(name)) rmSync(join(directory, name));
	const { pid, said } = await born(...how);
	room.run(["kill", "-QUIT", `${pid}`]);
	expect(await soon(() => room.pids().length === 0)).toBe(true);
	return { core: join(directory, present(readdirSync(directory).find((name) => /^core/.test(name)))), said };
}

describe.skipIf(!able)(`the signal stacks of a Go program's threads${needs}`, () => {
	it("are its own, not those that its donor has at their place: panics are recovered", async () => {
		const donor = await born("3");
		const images = join(directory, "donor");
		expect(necromancer("dump", "-q", "-t", `${donor.pid}`, "-i", images)).toMatchObject({ status: 0, stderr: "" });
		await clear();
		const { core, said } = await dead("0");
		expect([...said.values()]).not.toEqual([...donor.said.values()]);
		const before = lines().length;
		const { status, stdout, stderr } = necromancer("raise", "--trust", "--json", "--run", "-i", images, core);
		expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
		const { findings } = JSON.parse(stdout);
		expect(findings.filter(({ code }: { code: string }) => ["alternate-stack", "thread-state"].includes(code))).toEqual(
			[],
		);
		expect(findings).toContainEqual({
			...{ weight: "note", code: "thread-deduced", subject: expect.stringMatching(/^\d+ threads of Go$/) },
			text: expect.stringMatching(/^signal stacks as Go's runtime has them \(gsignal\), the first at 0x\w+-0x\w+$/),
		});
		expect(await saidBy(before)).toEqual(said);
		await clear();
	});

	it("are known of the core alone", async () => {
		const { core, said } = await dead("0", "calm");
		const before = lines().length;
		expect(necromancer("raise", "--trust", "-q", "--run", "--fd", `3=${log}`, core)).toEqual({
			...{ status: 0, stdout: "", stderr: "" },
		});
		expect(await saidBy(before)).toEqual(said);
		await clear();
	});
});
