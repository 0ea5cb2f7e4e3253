import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { soon } from "../support/lives/living.ts";
import { ownRoom } from "../support/lives/own-room.ts";
import { canHaveRooms, coresLandHere } from "../support/lives/room.ts";
import { hasTool } from "../support/tools.ts";

// A Go program whose threads have signal stacks of their own, elsewhere than its donor's have theirs.

const able = canHaveRooms() && coresLandHere() && hasTool("go", ["version"]);
const needs = able ? "" : " (needs root, unshare, nsenter, go and a core_pattern that is a plain name)";

const THREADS = 6;
const source = join(import.meta.dirname, "../support/lives/signal-stacks.go");
const { directory, necromancer, begin, clear, kill } = ownRoom({ able, patience: 120_000 }, () => {
	execFileSync("go", ["build", "-o", program, source], {
		env: { ...process.env, CGO_ENABLED: "0", GO111MODULE: "off" },
	});
});
const [program, log] = [join(directory, "signal-stacks"), join(directory, "log")];

const lines = (): string[] => readFileSync(log, "utf8").split("\n").slice(0, -1);

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
	return { pid: begin([program, log, ...how]), said: await saidBy(0) };
}

async function dead(
	...how: readonly string[]
): Promise<{ readonly core: string; readonly said: ReadonlyMap<string, string> }> {
	const { pid, said } = await born(...how);
	return { core: await kill(pid, "QUIT"), said };
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
	});

	it("are known of the core alone", async () => {
		const { core, said } = await dead("0", "calm");
		const before = lines().length;
		expect(necromancer("raise", "--trust", "-q", "--run", "--fd", `3=${log}`, core)).toEqual({
			...{ status: 0, stdout: "", stderr: "" },
		});
		expect(await saidBy(before)).toEqual(said);
	});
});
