import { existsSync, readFileSync, renameSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { compileLives, until } from "../support/lives/lives.ts";
import { ownRoom } from "../support/lives/own-room.ts";
import { canHaveRooms, coresLandHere } from "../support/lives/room.ts";
import { hasGcc } from "../support/tools.ts";

// A tree that is dumped alive; then some of it die, and take their places in the images of all.

const able = canHaveRooms() && hasGcc() && coresLandHere();
const needs = able ? "" : " (needs root, unshare, nsenter, gcc, and cores in the working directory)";

const { directory, room, necromancer, clear, begin } = ownRoom({ able }, async (there) => {
	compileLives(directory, ["workers"]);
	begin(["./workers", "2"]);
	const all = [0, 1, 2];
	expect(await until(() => all.every((place) => existsSync(fileOf(place)) && stateOf(place).shared.length === 3))).toBe(
		true,
	);
	pids = all.map((place) => stateOf(place).pid);
	expect(necromancer("dump", "-R", "-q", "-t", `${pids[0]}`, "-i", donor)).toEqual(well);
	// from here on nothing is as the donor had it
	there.run(["kill", "-USR1", ...pids.map(String)]);
	const jumped = ({ count, shared }: State): boolean => [count, ...shared].every((one) => one > JUMP);
	expect(await until(() => all.every((place) => jumped(stateOf(place))))).toBe(true);
	for (const place of [1, 2]) {
		const pid = pids[place] ?? 0;
		there.run(["kill", "-SEGV", `${pid}`]);
		expect(await until(() => !there.pids().includes(pid))).toBe(true);
		renameSync(join(directory, "core"), coreOf(place));
	}
	await clear();
	died = all.map(stateOf);
});

const JUMP = 1_000_000_000;
const donor = join(directory, "donor");
const fileOf = (place: number): string => join(directory, `count.${place}`);
const coreOf = (place: number): string => join(directory, `core.${place}`);
let pids: number[];
/** When the cores had been written. */
let died: State[];

const well = { status: 0, stdout: "", stderr: "" };

interface State {
	readonly pid: number;
	readonly count: number;
	readonly shared: readonly number[];
}

function stateOf(place: number): State {
	const [pid = 0, count = 0, ...shared] =
		readFileSync(fileOf(place), "utf8").split("\n")[0]?.split(" ").map(Number) ?? [];
	return { pid, count, shared };
}

/** What they say once they have gone on. */
async function goingOn(places: readonly number[]): Promise<State[]> {
	expect(new Set(room().pids())).toEqual(new Set(places.map((place) => pids[place])));
	const before = places.map((place) => readFileSync(fileOf(place), "utf8"));
	expect(await until(() => places.every((place, i) => readFileSync(fileOf(place), "utf8") !== before[i]))).toBe(true);
	return places.map(stateOf);
}

const told = (stdout: string): string[] =>
	JSON.parse(stdout).findings.map((it: { subject: string; text: string }) => `${it.subject}: ${it.text}`);

describe.skipIf(!able)(`a donor with a tree${needs}`, () => {
	it("takes the process that died; the others are as they were, and share with it what they shared", async () => {
		const out = join(directory, "one");
		const { status, stdout, stderr } = necromancer("-c", coreOf(1), "-i", donor, "-o", out, "--trust", "--json");
		expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
		expect(JSON.parse(stdout)).toMatchObject({ pid: pids[1], written: out });
		expect(told(stdout)).toEqual(
			expect.arrayContaining([
				expect.stringMatching(`^processes ${pids[0]}, ${pids[2]}: are as the donor had them, at another time`),
				`memory of processes ${pids.join(", ")}: is as ${coreOf(1)} holds it, for those too that did not die`,
			]),
		);
		expect(necromancer("restore", "-d", "-i", out).status).toBe(0);
		const [parent, dead, other] = await goingOn([0, 1, 2]);
		expect(dead?.count).toBeGreaterThan(died[1]?.count ?? 0);
		for (const one of [parent, other]) {
			expect(one?.count).toBeLessThan(JUMP);
			expect(Math.min(...(one?.shared ?? []))).toBeGreaterThan(JUMP);
		}
		// and still one memory for all
		const seen = other?.shared[1] ?? 0;
		expect(await until(() => (stateOf(2).shared[1] ?? 0) > seen)).toBe(true);
	});

	it("takes several that died, each in its own place, and says where their cores differ", async () => {
		const cores = ["-c", coreOf(2), "-c", coreOf(1)];
		const out = join(directory, "both");
		const { status, stdout, stderr } = necromancer(...cores, "-i", donor, "-o", out, "--trust", "--json");
		expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
		expect(JSON.parse(stdout).processes).toMatchObject([{ pid: pids[2] }, { pid: pids[1] }]);
		expect(told(stdout)).toContain(
			`memory of processes ${pids.join(", ")}: differs in 1 page between ${coreOf(1)} and ${coreOf(2)}: what ${coreOf(2)} holds is taken`,
		);
		expect(necromancer("restore", "-d", "-i", out).status).toBe(0);
		const [parent, ...dead] = await goingOn([0, 1, 2]);
		expect(parent?.count).toBeLessThan(JUMP);
		for (const [i, one] of dead.entries()) expect(one.count).toBeGreaterThan(died[i + 1]?.count ?? 0);
	});

	it("is asked which it was where nothing tells, and told so", () => {
		const cores = ["-c", coreOf(1), "-c", coreOf(2)];
		const choice = ["--donor-pid", `${coreOf(1)}=${pids[1]}`, "--donor-pid", `${coreOf(2)}=${pids[1]}`];
		expect(necromancer(...cores, ...choice, "-i", donor, "--check", "--trust")).toMatchObject({
			status: 4,
			stderr: `necromancer: ${donor}/pstree.img: its process ${pids[1]} would be both ${coreOf(1)} and ${coreOf(2)}, expected each core to be another process; choose with --donor-pid CORE=PID [ERR_DONOR_AMBIGUOUS]\n`,
		});
		expect(necromancer(...cores, "--donor-pid", `${pids[1]}`, "-i", donor)).toMatchObject({
			status: 2,
			stderr: expect.stringContaining(`there are 2 cores, say CORE=${pids[1]}`),
		});
	});

	it("lends to a process that is raised alone, which lacks the others", async () => {
		const { status, stdout } = necromancer("raise", "--trust", "--json", "--run", "-i", donor, coreOf(2));
		expect(status).toBe(0);
		expect(told(stdout)).toEqual(
			expect.arrayContaining([
				`donor's relatives: it was a child of process ${pids[0]}, and is whoever's that raises it`,
				`donor's relatives: memory that it shared with processes ${pids[0]}, ${pids[1]} is its own, as the core has it`,
			]),
		);
		const [dead] = await goingOn([2]);
		expect(dead?.count).toBeGreaterThan(died[2]?.count ?? 0);
	});
});
