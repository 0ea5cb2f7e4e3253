import { spawnSync } from "node:child_process";
import {
	chmodSync,
	existsSync,
	mkdtempSync,
	readdirSync,
	readFileSync,
	rmSync,
	statSync,
	writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { hasGcc, hasTool, need } from "../tools.ts";
import { built } from "./built.ts";
import { soon } from "./living.ts";
import { canHaveRooms, coresLandHere, openRoom, type Ran, type Room } from "./room.ts";
import { type TickingName, ticking, type User, users, type Way, ways } from "./ticking.ts";

/** A command in front of one that is to run where the clocks are so much ahead of ours, seconds. */
const SHIFT = 500_000;
function shifted(): readonly string[] {
	// offsets are from the clocks of the host, and ours may have one
	const ours = readFileSync("/proc/self/timens_offsets", "latin1");
	const offset = (clock: string): string =>
		`${Number(RegExp(`^${clock} +(-?\\d+)`, "m").exec(ours)?.[1] ?? 0) + SHIFT}`;
	return ["unshare", "--time", "--fork", "--monotonic", offset("monotonic"), "--boottime", offset("boottime")];
}
/** Whether our clocks are not the machine's own: what others have that is not either, an ordinary user may not ask. */
const isMoved = (): boolean => /^monotonic +-?0*[1-9]/m.test(readFileSync("/proc/self/timens_offsets", "latin1"));
const nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];

const runs = (program: string, ...args: readonly string[]): boolean =>
	spawnSync(program, args, { stdio: "ignore" }).status === 0;

const able =
	canHaveRooms() &&
	hasGcc() &&
	hasTool("setpriv") &&
	hasTool("gcore", ["-h"]) &&
	need("time namespaces", existsSync("/proc/self/timens_offsets") && runs("env", ...shifted(), "true")) &&
	coresLandHere();
const needs = able
	? ""
	: " (needs root, unshare, nsenter, setpriv, gcc, gcore, time namespaces and a kernel.core_pattern that is a plain name)";

/** Whether the program was killed where the clock is ahead of what it is where it goes on, or behind. */
interface Life {
	readonly where: "ahead" | "behind";
	readonly who: User;
	/** Its core is gcore's: it lets no signal kill it. */
	readonly gcore: boolean;
}

/** A program that died, with images of it from before in `place`. */
interface Dead {
	readonly room: Room;
	readonly place: string;
	readonly core: string;
	readonly who: User;
	/** Runs necromancer where the clock is another. */
	necromancer(...args: readonly string[]): Ran;
}

// The shell that is to become the program tells its id. Its log is appended to, for others have written there when it goes on.
const birth = `
cd "$1"; shift
echo $$ >pid
ulimit -S -c unlimited
exec "$@" </dev/null >>log 2>/dev/null
`;

// A session of its own, and ids that nobody has who restores it. Who makes a namespace for it dies as it does, without a core.
const away = `
ulimit -S -c 0
echo 20000 >/proc/sys/kernel/ns_last_pid
exec setsid "$@" </dev/null >/dev/null 2>&1 &
`;

async function killed(room: Room, dist: string, place: string, program: readonly string[], life: Life): Promise<Dead> {
	const { where, who, gcore } = life;
	const user = who === "root" ? [] : nobody;
	const log = join(place, "log");
	const tool = [...user, process.execPath, join(dist, "cli/main.js")];
	const run = (...command: readonly string[]): Ran => room.run(command, { TMPDIR: place });
	const victim = [...user, "sh", "-c", birth, "sh", place, ...program];
	expect(run("sh", "-c", away, "sh", ...(where === "ahead" ? shifted() : []), ...victim)).toEqual(well);
	expect(await within(() => linesIn(log).length >= 10)).toBe(true);
	const pid = readFileSync(join(place, "pid"), "utf8").trim();
	expect(run(...tool, "dump", "-q", "-R", "-t", pid, "-i", join(place, "donor"))).toEqual(well);
	if (gcore) expect(run(...user, "gcore", "-o", join(place, "core"), pid)).toMatchObject({ status: 0 });
	run("kill", gcore ? "-KILL" : "-ABRT", pid);
	expect(await within(() => room.pids().length === 0)).toBe(true);
	const core = join(place, readdirSync(place).find((name) => /^core(\.|$)/.test(name)) ?? "no core");
	const necromancer = (...args: readonly string[]): Ran =>
		run(...(where === "behind" ? shifted() : []), ...tool, ...args);
	return { room, place, core, who, necromancer };
}

const well = { status: 0, stdout: "", stderr: "" };

const linesIn = (log: string): string[] =>
	statSync(log, { throwIfNoEntry: false }) === undefined ? [] : readFileSync(log, "utf8").split("\n").slice(0, -1);

/** Whether something comes true in half a minute: so long the busiest machine may take to start a program. */
async function within(holds: () => boolean): Promise<boolean> {
	for (let tries = 0; tries < 6; tries++) if (await soon(holds)) return true;
	return false;
}

/** As many of each thread show that it goes on. */
const TICKS = 3;

/** Longer than any tick takes, and less than any clock is off, milliseconds. */
const JUMP = 200_000;

/**
 * Of a dead process the clock is known by what it waited for first: on a busy machine that may have been past, and others had
 * read a later time. So far it may go back, milliseconds.
 */
const LATE = 10_000;

/** Made to live again in one way after the other it goes on at its pace, and its clocks as if nothing had been. */
async function expectTicking(dead: Dead, ways: readonly Way[], tickers: readonly string[]): Promise<void> {
	const { room, place, core, who, necromancer } = dead;
	const [log = "", donor = "", images = "", alone = ""] = ["log", "donor", "images", "alone"].map((name) =>
		join(place, name),
	);
	writeFileSync(alone, "");
	chmodSync(alone, 0o666);
	const raise = ["raise", "-q", "--trust", "--run"];
	// ids of our choice are not for all
	const restore = ["restore", "-d", "-v0", "--trust", ...(who === "root" ? [] : ["--pid-namespace"]), "-i"];
	const commands: Readonly<Record<Way, readonly (readonly string[])[]>> = {
		"raise CORE": [[...raise, "--fd", `1=${alone}`, core]],
		"raise CORE -i DONOR": [[...raise, "-i", donor, core]],
		"-c CORE, restore": [
			["-q", "--trust", "-c", core, "-i", donor, "-o", images],
			[...restore, images],
		],
		"dump, restore": [[...restore, donor]],
	};
	for (const way of ways) {
		const told = way === "raise CORE" ? alone : log;
		const before = linesIn(told).length;
		for (const command of commands[way]) expect({ way, ...necromancer(...command) }).toEqual({ way, ...well });
		// who read a timer waits for a stand-in: a core alone does not say what it was
		const going = way === "raise CORE" ? tickers.filter((name) => name !== "timerfd") : tickers;
		const ticks = (): string[][] =>
			linesIn(told)
				.slice(before)
				.map((line) => line.split(" "));
		const goOn = (): boolean => going.every((name) => ticks().filter(([ticking]) => ticking === name).length >= TICKS);
		const all = await within(goOn);
		expect({ way, all, ticks: ticks() }).toMatchObject({ way, all: true });
		const jumps = ticks().filter(
			([, ...passed]) =>
				passed.length !== 2 || passed.some((since) => !(Number(since) > -LATE && Number(since) < JUMP)),
		);
		expect({ way, jumps }).toEqual({ way, jumps: [] });
		for (const pid of room.pids()) room.run(["kill", "-KILL", `${pid}`]);
		expect(await within(() => room.pids().length === 0)).toBe(true);
	}
}

/**
 * Programs that sleep until a time, killed where the clocks are far from what they are where they go on: by every way to make
 * them live again, by root and by an ordinary user.
 */
export function describeClocks(names: readonly TickingName[]): void {
	let directory = "";
	let dist = "";
	beforeAll(() => {
		directory = mkdtempSync(join(tmpdir(), "necromancer-clocks-"));
		chmodSync(directory, 0o755);
		if (able) dist = built();
	});
	afterAll(() => rmSync(directory, { recursive: true, force: true }));

	describe.skipIf(!able)(`on other clocks nobody in it sees a jump${needs}`, () => {
		describe.each(names.map((name) => [name, ticking[name]] as const))(
			"%s",
			(_, { tools, make, tickers, gcore = false, silent = false }) => {
				const lacks = tools.filter((tool) => !need(tool, runs("sh", "-c", 'command -v "$1" >/dev/null', "sh", tool)));
				const lack = lacks.length === 0 ? "" : ` (needs ${lacks.join(", ")})`;
				describe.each(users)("as %s", (who) => {
					it.skipIf(lacks.length > 0).each(["ahead", "behind"] as const)(
						`killed where the clock is %s${lack}`,
						{ timeout: 180_000 },
						async (where) => {
							const place = mkdtempSync(join(directory, "life-"));
							chmodSync(place, 0o777);
							const room = await openRoom();
							try {
								const dead = await killed(room, dist, place, make(place), { where, who, gcore });
								// of a core alone: the clocks of this boot that can still be looked at
								const gone = where === "ahead" || (who !== "root" && isMoved());
								// and what a clock shows in its first hour looks like any small number
								const young = where === "behind" && process.hrtime.bigint() < 3_600_000_000_000n;
								const known = ways.filter(
									(way) => !silent || way === "dump, restore" || (!young && !(gone && way === "raise CORE")),
								);
								await expectTicking(dead, known, tickers);
							} finally {
								await room.close();
							}
						},
					);
				});
			},
		);
	});
}
