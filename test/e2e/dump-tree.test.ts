import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { built } from "../support/lives/built.ts";
import { asked, beginLife, compileLives, type Life, necromancer, until } from "../support/lives/lives.ts";
import { canHaveRooms, openRoom, type Room } from "../support/lives/room.ts";
import { hasGcc } from "../support/tools.ts";

// Processes that come from one, dumped together: nobody is left out, nobody notices, and what they share they share again.

const able = canHaveRooms() && hasGcc();

const directory = mkdtempSync(join(tmpdir(), "necromancer-dump-tree-"));
let dist = "";
beforeAll(() => {
	dist = built();
	if (able) compileLives(directory, ["family"]);
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const rooms: Room[] = [];
afterEach(async () => {
	for (const room of rooms.splice(0)) await room.close();
});

async function begin(...how: string[]): Promise<Life> {
	const room = await openRoom();
	rooms.push(room);
	const life = await beginLife(room, directory, dist, "family", [directory, ...how]);
	return life;
}

interface Kin {
	readonly pid: number;
	readonly ppid: number;
	readonly pgid: number;
	readonly sid: number;
	readonly state: string;
}

const idsIn = (room: Room): number[] => room.pids().sort((a, b) => a - b);

/** What /proc says of one; nothing of one that has ended. */
function textOf({ room }: Life, pid: number, name: string): string {
	try {
		return readFileSync(room.path(`/proc/${pid}/${name}`), "latin1");
	} catch {
		return "";
	}
}

/** All processes of a room but its first, as /proc shows them. */
const kinIn = (life: Life): Kin[] =>
	idsIn(life.room).flatMap((pid): Kin[] => {
		const text = textOf(life, pid, "stat");
		if (text === "") return [];
		const [state = "", ...numbers] = text.slice(text.lastIndexOf(")") + 2).split(" ");
		const [ppid = 0, pgid = 0, sid = 0] = numbers.map(Number);
		// whoever runs and whoever sleeps is the same for us
		return [{ pid, ppid, pgid, sid, state: /[RSD]/.test(state) ? "runs" : state }];
	});

const whole = async (life: Life): Promise<Kin[]> => {
	const states = (): string =>
		kinIn(life)
			.map(({ state }) => state)
			.sort()
			.join(" ");
	expect(await until(() => states() === "T Z Z runs runs runs runs runs")).toBe(true);
	return kinIn(life);
};

let made = 0;
const fresh = (): string => join(directory, `images-${++made}`);

const tracers = (life: Life): string[] =>
	life.room.pids().map((pid) => /^TracerPid:\t(\d+)/m.exec(textOf(life, pid, "status"))?.[1] ?? "ended");

describe.skipIf(!able)(
	`a process and all that come from it${able ? "" : " (needs root, unshare, nsenter and gcc)"}`,
	() => {
		it("are dumped, end together and come back, with what they share; and go on from a dump that is a copy", async () => {
			const life = await begin();
			const before = await whole(life);
			const copy = necromancer(life, ["dump", "-t", `${life.pid}`, "-i", fresh(), "-R", "-q"]);
			expect([copy.stderr, copy.status]).toEqual(["", 0]);
			expect(new Set(tracers(life))).toEqual(new Set(["0"]));
			expect(kinIn(life)).toEqual(before);
			expect(await asked(life)).toBe("0 right");

			const images = fresh();
			const dumped = necromancer(life, ["dump", "-t", `${life.pid}`, "-i", images, "--json"]);
			expect([dumped.stderr, dumped.status]).toEqual(["", 0]);
			const { processes, zombies, findings } = JSON.parse(dumped.stdout) as {
				readonly processes: readonly Kin[];
				readonly zombies: readonly (Kin & { readonly status: number })[];
				readonly findings: readonly { readonly weight: string }[];
			};
			const told = [...processes, ...zombies].map(({ pid, ppid, pgid, sid }) => ({ pid, ppid, pgid, sid }));
			expect([...told].sort((a, b) => a.pid - b.pid)).toEqual(
				before.map(({ pid, ppid, pgid, sid }) => ({ pid, ppid, pgid, sid })),
			);
			for (const [i, { ppid }] of told.entries())
				if (i > 0) expect(told.slice(0, i).some(({ pid }) => pid === ppid)).toBe(true);
			expect(zombies.map(({ status }) => status)).toEqual([200 << 8, 9]);
			expect(findings.filter(({ weight }) => weight === "loss")).toEqual([]);
			expect(await until(() => life.room.pids().length === 0)).toBe(true);

			const { stderr, status } = necromancer(life, ["restore", "-d", "-i", images]);
			expect([stderr, status]).toEqual([expect.stringMatching(/restored process/), 0]);
			const others = (all: readonly Kin[]): Kin[] => all.filter(({ pid }) => pid !== life.pid);
			expect(others(await whole(life))).toEqual(others(before));
			expect(await asked(life)).toBe("1 right");
		}, 60_000);

		it("go on as they were, at whatever moment the program is killed", async () => {
			const life = await begin();
			const before = await whole(life);
			let killed = 0;
			for (let after = 80; after < 400; after += 80) {
				const dump = [join(dist, "cli/main.js"), "dump", "-t", `${life.pid}`, "-i", fresh(), "-R"];
				const room = life.room.path("/").split("/")[2] ?? "";
				const program = spawn("nsenter", [`--target=${room}`, "--mount", "--pid", "--", process.execPath, ...dump], {
					stdio: "ignore",
				});
				const ended = once(program, "exit");
				await sleep(after);
				// nsenter waits for a child of its own in the pid namespace
				for (const pid of life.room.pids()) {
					const command = textOf(life, pid, "cmdline");
					if (!command.includes("cli/main.js")) continue;
					life.room.run(["kill", "-KILL", `${pid}`]);
					killed++;
				}
				await ended;
				expect(await until(() => kinIn(life).length === before.length)).toBe(true);
				expect(new Set(tracers(life))).toEqual(new Set(["0"]));
			}
			expect(killed).toBeGreaterThan(0);
			expect(kinIn(life)).toEqual(before);
			expect(await asked(life)).toBe("0 right");
		}, 60_000);

		it("are all taken, however fast they come and go", async () => {
			const life = await begin("bustle");
			const { status, stderr } = necromancer(life, ["dump", "-t", `${life.pid}`, "-i", fresh(), "-q"]);
			expect([stderr, status]).toEqual(["", 0]);
			expect(await until(() => life.room.pids().length === 0)).toBe(true);
		}, 60_000);

		it.each([
			[
				"share what only threads may",
				"vm",
				"processes ROOT, CHILD: share their memory (CLONE_VM, as between vfork and exec), expected each to have its own: they cannot be dumped yet; try again when one of them has become another program, or has ended [ERR_UNSUPPORTED]",
			],
			[
				"are traced by another",
				"traced",
				"process CHILD: is traced by process ROOT, expected to be its only tracer; quit the debugger first [ERR_PROCESS]",
			],
		])(
			"are refused by name and go on where they %s",
			async (_, how, why) => {
				const life = await begin(how);
				const [root = 0, child = 0] = idsIn(life.room);
				const refused = necromancer(life, ["dump", "-t", `${root}`, "-i", fresh()]).stderr;
				expect(refused).toBe(`necromancer: ${why.replace("ROOT", `${root}`).replace("CHILD", `${child}`)}\n`);
				expect(tracers(life).filter((tracer) => ![`${root}`, "0"].includes(tracer))).toEqual([]);
				expect(await asked(life)).toBe("0 right");
			},
			60_000,
		);

		it("are refused by name where they have two time namespaces", async () => {
			const room = await openRoom();
			rooms.push(room);
			const script = `setsid unshare --time --boottime 1000 --fork sleep 1000 </dev/null >/dev/null 2>&1 & echo $!`;
			const root = Number(room.run(["sh", "-c", script]).stdout);
			expect(await until(() => room.pids().length === 2)).toBe(true);
			const dump = ["dump", "-t", `${root}`, "-i", fresh(), "--allow-lost", "time-for-children"];
			expect(necromancer({ room, dist }, dump).stderr).toMatch(
				new RegExp(
					`^necromancer: processes ${root}, \\d+: are in two time namespaces \\(time:.*, time:.*\\), expected one: `,
				),
			);
		}, 60_000);
	},
);
