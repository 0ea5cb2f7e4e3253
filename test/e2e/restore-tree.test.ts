import { chmodSync, existsSync, readFileSync, renameSync, rmSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { type Failure, walker } from "../support/faults/fail-walk.ts";
import { built } from "../support/lives/built.ts";
import { compileLives, until } from "../support/lives/lives.ts";
import { ownRoom } from "../support/lives/own-room.ts";
import { canHaveRooms } from "../support/lives/room.ts";
import { hasGcc } from "../support/tools.ts";

// A family of processes comes back as it was: who is whose child, in which session and group, dead, stopped or alive.

const able = canHaveRooms() && hasGcc();
const needs = able ? "" : " (needs root, unshare, nsenter, gcc)";

const { directory, room, command, necromancer, begin, clear } = ownRoom({ able }, async () => {
	compileLives(directory, ["kin"]);
	// whoever lives there writes into it
	chmodSync(directory, 0o777);
	nextId(5000);
	root = begin(["./kin"]);
	expect(await until(() => existsSync(join(directory, "ready")))).toBe(true);
	before = family();
	expect(necromancer("dump", "-q", "-t", `${root}`, "-i", images)).toEqual({ status: 0, stdout: "", stderr: "" });
	await clear();
	// whatever runs meanwhile has none of their ids
	nextId(100);
});

const nextId = (id: number) => room().run(["sh", "-c", `echo ${id - 1} >/proc/sys/kernel/ns_last_pid`]);
const images = join(directory, "images");
let root: number;
let before: readonly string[];

/** Everybody's id, name, state, parent, group, session and exit status. */
function family(): readonly string[] {
	const { stdout } = room().run(["sh", "-c", "cat /proc/[0-9]*/stat"]);
	return stdout.split("\n").flatMap((line) => {
		const fields = line.split(" ");
		const [pid, name, state, parent, group, session] = fields;
		// the first one's parent is whoever made it
		const whose = pid === `${root}` ? "somebody" : parent;
		return name === "(kin)" ? [[pid, state, whose, group, session, state === "Z" ? fields[51] : ""].join(" ")] : [];
	});
}

const said = (name: string): string => readFileSync(join(directory, name), "utf8");

describe.skipIf(!able)(`a family${needs}`, () => {
	it("is as it was: zombies, orphans, sessions and groups without leaders, who is stopped; and nobody heard of it", async () => {
		expect(before).toHaveLength(13);
		for (let generation = 0; generation < 2; generation++) {
			const { status, stderr } = necromancer("restore", "-d", "-i", images);
			expect({ status, stderr }).toEqual({ status: 0, stderr: `restored process ${root} and 9 below it\n` });
			expect(await until(() => family().join() === before.join())).toBe(true);
			if (generation === 1) break;
			expect(necromancer("dump", "-q", "-t", `${root}`, "-i", `${images}-again`).status).toBe(0);
			await clear();
		}
		for (const name of ["heard", "his"]) rmSync(join(directory, name), { force: true });
		room().run(["sh", "-c", `kill -USR1 ${room().pids().join(" ")}`]);
		expect(await until(() => existsSync(join(directory, "heard")) && existsSync(join(directory, "his")))).toBe(true);
		expect(await until(() => said("heard") !== "" && said("his") !== "")).toBe(true);
		expect([said("heard"), said("his")]).toEqual(["51200 10 told 0\n", "65534 his\n"]);
	});

	it("names who holds an id, or one as a session's, before anything is made", () => {
		const [orphan = ""] = before.filter((line) => !before.some((it) => it.startsWith(`${line.split(" ")[4]} `)));
		const session = orphan.split(" ")[4];
		nextId(Number(session));
		// it keeps the id as a session's
		room().run([
			"sh",
			"-c",
			"exec setsid sh -c 'echo 300 >/proc/sys/kernel/ns_last_pid; sleep 100 & echo' >/dev/null 2>&1",
		]);
		nextId(200);
		const { status, stderr } = necromancer("restore", "-d", "-i", images);
		expect([status, stderr]).toEqual([6, expect.stringContaining(`pid ${session}: is still the session of "sleep"`)]);
	});

	it("leaves nobody where a step fails, whichever it is, and says whose it was", () => {
		const file = join(directory, "plan");
		room().run(["sh", "-c", `exec "$@" >${file}`, "sh", ...command("plan", "-i", images, "--json")]);
		const lists: readonly { name: string; steps: readonly { id: number }[] }[] = JSON.parse(said("plan")).lists;
		const listOf = new Map(lists.flatMap(({ name, steps }) => steps.map(({ id }) => [id, name] as const)));
		const stride = Math.ceil(listOf.size / 25);
		const walked = room().run([process.execPath, walker, built(), images, `${listOf.size}`, `${stride}`], {}, 200_000);
		expect([walked.status, walked.stderr]).toEqual([0, ""]);
		const walk: readonly Failure[] = JSON.parse(walked.stdout);
		expect(walk).toHaveLength(Math.ceil(listOf.size / stride));
		const odd = walk.filter(({ step, code, exitStatus, message, left }) => {
			const list = listOf.get(step) ?? "";
			const named = message.startsWith(`step ${step} of `) && (!list.startsWith("process") || message.includes(list));
			return !named || code !== "ERR_STEP_FAILED" || exitStatus !== 7 || left.length > 0;
		});
		expect(odd).toEqual([]);
		expect(room().pids()).toEqual([]);
	});

	it("opens each file as the user of the process that has it: what he put a link in the place of is not followed for him", () => {
		const file = join(directory, "private");
		renameSync(file, `${file}.true`);
		symlinkSync("/etc/shadow", file);
		try {
			const { status, stderr } = necromancer("restore", "-d", "-i", images);
			expect([status, stderr]).toEqual([5, expect.stringContaining(`${file}: may not be used by uid 65534 (EACCES)`)]);
			expect(room().pids()).toEqual([]);
		} finally {
			renameSync(`${file}.true`, file);
		}
	});
});
