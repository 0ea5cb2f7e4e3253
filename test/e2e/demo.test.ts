import { spawn, spawnSync } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { built } from "../support/lives/built.ts";
import { isDead, soon } from "../support/lives/living.ts";
import { canHaveRooms, openRoom, type Ran, type Room } from "../support/lives/room.ts";

// The demo, as whoever has just cloned this runs it.

const able = canHaveRooms();
const needs = able ? "" : " (needs root, unshare and nsenter)";
const demo = resolve(import.meta.dirname, "../../scripts/demo.mjs");
const asNobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
const readable = spawnSync(asNobody[0] ?? "", [...asNobody.slice(1), process.execPath, demo, "--help"]).status === 0;

const directory = mkdtempSync(join(tmpdir(), "necromancer-demo-test-"));
// an ordinary user is to get there
chmodSync(directory, 0o755);
let dist = "";
beforeAll(() => {
	dist = built();
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const rooms: Room[] = [];
afterEach(async () => {
	for (const room of rooms.splice(0)) await room.close();
});

/** An empty directory for its temporary files, where everybody may write. */
function temporary(): string {
	const path = mkdtempSync(join(directory, "tmp-"));
	chmodSync(path, 0o1777);
	return path;
}

async function inRoom(prefix: readonly string[], ...args: string[]): Promise<Ran & { left: string[]; pids: number[] }> {
	const room = await openRoom();
	rooms.push(room);
	const tmp = temporary();
	const ran = room.run([...prefix, process.execPath, demo, "--dist", dist, ...args], { TMPDIR: tmp });
	await soon(() => room.pids().length === 0);
	return { ...ran, left: readdirSync(tmp), pids: room.pids() };
}

/** Rounds one to twenty, without a gap, of one process; and nothing is left behind. */
function expectGoesOn({ status, stdout, stderr, left, pids }: Awaited<ReturnType<typeof inRoom>>): void {
	expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
	const rounds = [...stdout.matchAll(/^ {3}\| round (\d+): secret (\S+), (\d+) entries since (\S+)$/gm)];
	expect(rounds.length).toBeGreaterThanOrEqual(20);
	expect(new Set(rounds.map(([, , secret, , since]) => `${secret} ${since}`)).size).toBe(1);
	const [dead = "", alive = ""] =
		/^Dead after round (\d+), alive in round (\d+): the same process/m.exec(stdout)?.slice(1) ?? [];
	expect(Number(alive)).toBeGreaterThanOrEqual(Number(dead) + 10);
	expect(stdout).toContain("waitpid: killed by SIGABRT");
	expect(stdout).not.toContain("\u001b");
	expect({ left, pids }).toEqual({ left: [], pids: [] });
}

describe.skipIf(!able)(`the demo${needs}`, () => {
	it("shows a process die and go on, as root", async () => {
		expectGoesOn(await inRoom([]));
	});

	it.skipIf(!readable)(
		"shows it to an ordinary user where core_pattern pipes, and leaves that alone (needs setpriv, and a checkout that all may read)",
		async () => {
			// what stands in core_pattern is the machine's: here it only looks like this
			const pattern = join(temporary(), "core_pattern");
			writeFileSync(pattern, "|/usr/share/apport/apport -p%p -s%s -- %E\n");
			chmodSync(pattern, 0o644);
			const mount = ["sh", "-c", 'mount --bind "$0" /proc/sys/kernel/core_pattern && exec "$@"', pattern];
			const ran = await inRoom([...mount, ...asNobody]);
			expect(ran.stdout).toContain(
				'core_pattern is "|/usr/share/apport/apport -p%p -s%s -- %E": the kernel hands cores to another program. ' +
					"It stays as it is: necromancer writes the core itself",
			);
			expectGoesOn(ran);
		},
	);

	it("has a simpler process to show", async () => {
		const ran = await inRoom([], "--own-core", "--victim", "sh");
		expect(ran.stdout).toContain("the core is written by necromancer, as asked for");
		expectGoesOn(ran);
	});
});

describe("the demo", () => {
	it("leaves nothing behind when it is interrupted", async () => {
		const tmp = temporary();
		const child = spawn(process.execPath, [demo, "--dist", dist, "--own-core"], {
			env: { ...process.env, TMPDIR: tmp, NO_COLOR: "1" },
			stdio: ["ignore", "pipe", "pipe"],
		});
		const ended = new Promise<NodeJS.Signals | null>((done) => child.once("exit", (_, signal) => done(signal)));
		let told = "";
		child.stdout.on("data", (bytes: Buffer) => {
			told += bytes.toString();
		});
		expect(await soon(() => /^ {3}\| round 2:/m.test(told))).toBe(true);
		child.kill("SIGINT");
		expect(await ended).toBe("SIGINT");
		const pid = Number(/^ {3}it has pid (\d+) /m.exec(told)?.[1]);
		expect(await soon(() => isDead(pid))).toBe(true);
		expect(readdirSync(tmp)).toEqual([]);
	});

	it("says why when it cannot show anything", () => {
		const nothing = join(directory, "nothing");
		mkdirSync(nothing, { recursive: true });
		const { status, stdout, stderr } = spawnSync(process.execPath, [demo, "--victim", "fish"], { encoding: "utf8" });
		expect({ status, stdout }).toEqual({ status: 2, stdout: "" });
		expect(stderr).toMatch(/^usage: npm run demo/);
	});
});
