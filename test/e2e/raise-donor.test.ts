import { copyFileSync, mkdirSync, readFileSync, readlinkSync, renameSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, it } from "vitest";
import { parseMaps } from "../support/builders/fixture-core.ts";
import { canBeFaulty, FAULTY_NEEDS, type Faulty, killFaulty, SERVE_PID } from "../support/lives/faulty.ts";
import { ownRoom } from "../support/lives/own-room.ts";
import { linesOf } from "../support/lives/room.ts";

// A core with a donor: memory and registers of the one, descriptors and handlers of the other.

const able = canBeFaulty();
const needs = able ? "" : ` (${FAULTY_NEEDS})`;

const { directory, room, necromancer, clear } = ownRoom({ able }, async (there) => {
	dead = await killFaulty(directory);
	const script = '"$1" live "$2" </dev/null >/dev/null 2>&1 & echo $!';
	const pid = Number(there.run(["sh", "-c", script, "sh", dead.binary, dead.log]).stdout);
	expect(await linesOf(dead.log, 1)).toEqual(["signal 0 total 1042"]);
	const names = parseMaps(readFileSync(there.path(`/proc/${pid}/maps`), "utf8")).map(({ name }) => name);
	mapped = [...new Set(names.filter((name) => name.startsWith("/")))];
	expect(necromancer("dump", "-q", "-t", `${pid}`, "--no-pages", "-i", donor)).toEqual(well);
});
const donor = join(directory, "donor");
let dead: Faulty;
/** What the donor had mapped. */
let mapped: string[];

const well = { status: 0, stdout: "", stderr: "" };

/** It has the donor's log and handler, and its own state. */
async function expectServing(): Promise<void> {
	const before = readFileSync(dead.log, "utf8").split("\n").length - 1;
	room().run(["kill", "-USR1", `${SERVE_PID}`]);
	expect((await linesOf(dead.log, before + 1)).at(-1)).toBe("signal 10 total 42");
}

describe.skipIf(!able)(`raise -i DONOR${needs}`, () => {
	it("has the donor's files and handlers, and the core's state", async () => {
		const { status, stdout, stderr } = necromancer("raise", "--trust", "--json", "--run", "-i", donor, dead.serve);
		expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
		const { pid, findings } = JSON.parse(stdout);
		expect(pid).toBe(SERVE_PID);
		const codes = findings.map(({ code }: { code: string }) => code);
		expect(codes).toContain("files-from-donor");
		expect(codes).not.toContain("handlers-default");
		expect(readlinkSync(room().path(`/proc/${pid}/fd/3`))).toBe(dead.log);
		await expectServing();
		// its log has grown since the donor was dumped: once more
		await clear();
		expect(necromancer("raise", "--trust", "-q", "--run", "-i", donor, dead.serve)).toEqual(well);
		await expectServing();
	});

	it("also where its program is elsewhere by now", async () => {
		const moved = join(directory, "moved");
		renameSync(dead.binary, moved);
		try {
			expect(necromancer("raise", "--trust", "-q", "-i", donor, dead.serve)).toMatchObject({
				status: 5,
				stderr: expect.stringMatching(
					/^necromancer: \S+\/faulty: is not here, expected it: \d+ of \d+ bytes mapped of it/,
				),
			});
			const renamed = necromancer(
				...["raise", "--trust"],
				"-q",
				"--run",
				"-i",
				donor,
				"--map-file",
				`${dead.binary}=${moved}`,
				dead.serve,
			);
			expect(renamed).toEqual(well);
			expect(readlinkSync(room().path(`/proc/${SERVE_PID}/exe`))).toBe(moved);
			await expectServing();
		} finally {
			renameSync(moved, dead.binary);
		}
	});

	it("and where all that it had mapped lies in another tree", async () => {
		const root = join(directory, "root");
		for (const path of mapped) {
			mkdirSync(dirname(root + path), { recursive: true });
			copyFileSync(path, root + path);
		}
		expect(necromancer("raise", "--trust", "-q", "--run", "-i", donor, "--sysroot", root, dead.serve)).toEqual(well);
		const names = parseMaps(readFileSync(room().path(`/proc/${SERVE_PID}/maps`), "utf8")).map(({ name }) => name);
		expect([...new Set(names.filter((name) => name.startsWith("/")))].sort()).toEqual(
			mapped.map((path) => root + path).sort(),
		);
		await expectServing();
	});

	it("refuses a donor that is none, and options that need one", () => {
		expect(necromancer("raise", "--trust", "-i", join(directory, "fault"), dead.serve).status).toBe(4);
		expect(necromancer("raise", "--trust", "-i", donor, "--donor-pid", "1", dead.serve).status).toBe(4);
		expect(necromancer("raise", "--trust", "--donor-pid", "1", dead.serve)).toEqual({
			...{ status: 2, stdout: "" },
			stderr: "necromancer: --donor-pid is for -i; see necromancer raise --help [ERR_USAGE]\n",
		});
		expect(room().pids()).toEqual([]);
	});
});
