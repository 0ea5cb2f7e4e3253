import { spawnSync } from "node:child_process";
import { closeSync, mkdtempSync, openSync, readdirSync, readFileSync, readlinkSync, readSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { fixturePath, fixtureText } from "../support/builders/fixture-core.ts";
import { type Failure, walker } from "../support/faults/fail-walk.ts";
import { built } from "../support/lives/built.ts";
import { soon } from "../support/lives/living.ts";
import { canHaveRooms, linesOf, openRoom, type Ran, type Room } from "../support/lives/room.ts";
import { saidRestored } from "../support/lives/said-restored.ts";
import { present } from "../support/present.ts";
import { hasTool, need } from "../support/tools.ts";
import { readImages } from "../support/witness/image-reader.ts";
import { registersByGdb } from "../support/witness/restored-process.ts";
import { fileHere, regFilesOf } from "../support/witness/witness.ts";

// Processes that live again under ids of their own, of a namespace, or of the kernel's choice.

const images = fixturePath("threads/images");
const item = present(readImages(images).records("pstree.img")[0]);
const PID = Number(item.number(1));
const TIDS = item.numbers(5).map(Number);
const LOG = "/opt/victims/run/threads/log";
const DEAD = fixtureText("threads", "dead.log").trim().split("\n").length;

const same = [...regFilesOf(readImages(images)).values()]
	.filter(({ buildId }) => buildId !== undefined)
	.filter(({ name }) => !name.startsWith("/opt/victims/"))
	.every((file) => fileHere(file) !== undefined);
const able = canHaveRooms() && same;
const needs = able ? "" : " (needs root, unshare, nsenter and the C library of the fixture)";
const hasGdb = hasTool("gdb");
const NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] as const;
const nobody = (command: readonly string[]): boolean =>
	spawnSync(NOBODY[0], [...NOBODY.slice(1), ...command], { stdio: "ignore" }).status === 0;
const canBeNobody =
	able &&
	need(
		"setpriv, user namespaces, and this directory open to all",
		nobody(["unshare", "-Up", "true"]) &&
			nobody([process.execPath, "-e", "process.exit()"]) &&
			nobody(["test", "-r", fileURLToPath(import.meta.url)]),
	);
const needsNobody = canBeNobody ? "" : " (needs setpriv, user namespaces, and this directory open to all)";

const directory = mkdtempSync(join(tmpdir(), "necromancer-ids-"));
let dist = "";
beforeAll(() => {
	dist = built();
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const rooms: Room[] = [];
async function aRoom(): Promise<Room> {
	const room = await openRoom();
	rooms.push(room);
	room.putLog("threads");
	return room;
}
afterEach(async () => {
	for (const room of rooms.splice(0)) await room.close();
});

const main = (): string => join(dist, "cli/main.js");
const restoreIn = (room: Room, ...args: readonly string[]): Ran =>
	room.run([process.execPath, main(), "restore", "-i", images, ...args]);
/** As nobody, who may write the log, and whose temporary files have a place. */
function restoreAsNobody(room: Room, ...args: readonly string[]): Ran {
	room.run(["sh", "-c", `chown 65534 ${LOG}; mkdir -pm 1777 /opt/victims/tmp`]);
	const command = [...NOBODY, process.execPath, main(), "restore", "-i", images, ...args];
	return room.run(command, { TMPDIR: "/opt/victims/tmp" });
}

const comm = (room: Room, pid: number): string => readFileSync(room.path(`/proc/${pid}/comm`), "latin1").trim();
const named = (room: Room, name: string): number[] => room.pids().filter((pid) => comm(room, pid) === name);
const field = (room: Room, path: string, name: string): string =>
	new RegExp(`^${name}:\\s*(.*)$`, "m").exec(readFileSync(room.path(path), "latin1"))?.[1] ?? "";
/** The ids of all threads, outermost first, as the room's own ids are. */
const idsOf = (room: Room, pid: number): number[][] =>
	readdirSync(room.path(`/proc/${pid}/task`)).map((tid) =>
		field(room, `/proc/${pid}/task/${tid}/status`, "NSpid").split("\t").map(Number),
	);

async function expectRounds(room: Room): Promise<void> {
	const lines = (await linesOf(room.path(LOG), DEAD + 3)).slice(DEAD);
	expect(lines.length).toBeGreaterThanOrEqual(3);
	for (const line of lines) expect(line).toMatch(/^round \d+ seed [0-9a-f]+ answers right$/);
}

const end = async (room: Room, pid: number): Promise<void> => {
	room.run(["kill", "-KILL", `${pid}`]);
	expect(await soon(() => room.pids().length === 0)).toBe(true);
};

describe.skipIf(!able)(`in a pid namespace of its own${needs}`, () => {
	it("a process has its ids, beside another that has them too", async () => {
		const room = await aRoom();
		expect(restoreIn(room, "-d").status).toBe(0);
		const { status, stdout, stderr } = restoreIn(room, "-d", "--pid-namespace");
		const pid = present(named(room, "threads").find((it) => it !== PID));
		expect({ status, stdout, stderr }).toEqual({
			...{ status: 0, stdout: "" },
			stderr: saidRestored(`${pid}, which is ${PID} in its pid namespace`),
		});
		expect(idsOf(room, pid).map((ids) => ids.at(-1))).toEqual(TIDS);
		expect(idsOf(room, pid).every(([outer]) => !TIDS.includes(outer ?? 0))).toBe(true);
		await expectRounds(room);
		room.run(["kill", "-KILL", `${PID}`]);
		await end(room, pid);
	});

	it("comes with a first process that holds nothing, and ends with it", async () => {
		const room = await aRoom();
		expect(restoreIn(room, "-d", "--pid-namespace").status).toBe(0);
		const init = present(named(room, "necromancer")[0]);
		expect(await soon(() => readdirSync(room.path(`/proc/${init}/fd`)).length === 1)).toBe(true);
		expect(readlinkSync(room.path(`/proc/${init}/fd/0`))).toBe("anon_inode:[pidfd]");
		expect(readlinkSync(room.path(`/proc/${init}/cwd`))).toBe("/");
		expect(readFileSync(room.path(`/proc/${init}/cmdline`), "latin1")).toBe("");
		expect(field(room, `/proc/${init}/status`, "NSsid").split("\t").at(-1)).toBe("1");
		expect(field(room, `/proc/${init}/status`, "NSpid").split("\t").at(-1)).toBe("1");
		expect(
			Number(/^VmRSS:\s*(\d+)/m.exec(readFileSync(room.path(`/proc/${init}/status`), "latin1"))?.[1]),
		).toBeLessThan(1024);
		await end(room, present(named(room, "threads")[0]));
	});

	it("takes the process with it when it is killed", async () => {
		const room = await aRoom();
		expect(restoreIn(room, "-s", "--pid-namespace").status).toBe(0);
		await end(room, present(named(room, "necromancer")[0]));
	});

	it("has ids that are too high for this host (needs kernel.pid_max per namespace)", async (context) => {
		const room = await aRoom();
		const limit = "/proc/sys/kernel/pid_max";
		const inside = room.run(["cat", limit]).stdout;
		// before Linux 6.14 there is one for all, which is not ours to change
		if (inside === readFileSync(limit, "latin1")) context.skip();
		room.run(["sh", "-c", `echo ${PID - 1} >${limit}`]);
		expect(restoreIn(room, "-d")).toEqual({
			...{ status: 6, stdout: "" },
			stderr:
				`necromancer: process ${PID}: clone3 failed with EINVAL, expected to make a process with that id; ` +
				"ids end at kernel.pid_max: raise it, or restore with --pid-namespace, or with --fresh-ids [ERR_HOST]\n",
		});
		expect(room.pids()).toEqual([]);
		expect(restoreIn(room, "-d", "--pid-namespace").status).toBe(0);
		await expectRounds(room);
		await end(room, present(named(room, "threads")[0]));
	});
});

describe.skipIf(!able)(`with new ids${needs}`, () => {
	it.skipIf(!hasGdb)(`each thread's library knows them${hasGdb ? "" : " (needs gdb)"}`, async () => {
		const room = await aRoom();
		const { status, stderr } = restoreIn(room, "-s", "-v", "--fresh-ids");
		const pid = present(named(room, "threads")[0]);
		expect(status).toBe(0);
		expect(pid).not.toBe(PID);
		expect(stderr).toContain(`restored process ${pid}, which was ${PID}, stopped: kill -CONT ${pid} lets it go on\n`);
		expect(stderr).toContain(`process ${PID}: and its threads get new ids; `);
		const registers = registersByGdb(room, pid);
		expect(registers.size).toBe(TIDS.length);
		const mem = openSync(room.path(`/proc/${pid}/mem`), "r");
		try {
			// glibc 2.36: tid is 0x2d0 bytes into struct pthread, where fs points
			const word = Buffer.alloc(4);
			for (const [tid, { fs_base }] of registers) {
				readSync(mem, word, 0, 4, present(fs_base) + 0x2d0n);
				expect(word.readInt32LE()).toBe(tid);
			}
		} finally {
			closeSync(mem);
		}
		expect(room.run(["kill", "-CONT", `${pid}`]).status).toBe(0);
		await expectRounds(room);
		await end(room, pid);
	});

	it("a process lives beside one that has the old ones", async () => {
		const room = await aRoom();
		expect(restoreIn(room, "-s").status).toBe(0);
		expect(restoreIn(room, "-d", "--fresh-ids").status).toBe(0);
		const ids = named(room, "threads");
		expect(ids).toHaveLength(2);
		await expectRounds(room);
	});
});

describe.skipIf(!canBeNobody)(`an ordinary user's${needsNobody}`, () => {
	it("process has its ids in a namespace, and is that user's", async () => {
		const room = await aRoom();
		const { status, stderr } = restoreAsNobody(room, "-d", "-v", "--pid-namespace");
		expect([status, stderr]).toEqual([
			0,
			expect.stringContaining("lives in a user namespace of its own, where user 0"),
		]);
		const pid = present(named(room, "threads")[0]);
		expect(idsOf(room, pid).map((ids) => ids.at(-1))).toEqual(TIDS);
		expect(field(room, `/proc/${pid}/status`, "Uid")).toBe("65534\t65534\t65534\t65534");
		expect(readlinkSync(room.path(`/proc/${pid}/exe`))).toBe("/opt/victims/bin/threads");
		await expectRounds(room);
		await end(room, pid);
	});

	it("process lives with new ids, and all that is lost is said", async () => {
		const room = await aRoom();
		const { status, stderr } = restoreAsNobody(room, "-d", "-v", "--fresh-ids");
		expect(status).toBe(0);
		for (const lost of [
			"/proc/PID/exe does not name /opt/victims/bin/threads: that needs",
			"was user 0, which the restorer cannot give; it is 65534 now",
			"was group 0, which the restorer cannot give; it is 65534 now",
		])
			expect(stderr).toContain(lost);
		const pid = present(named(room, "threads")[0]);
		expect(field(room, `/proc/${pid}/status`, "CapPrm")).toBe("0000000000000000");
		await expectRounds(room);
		await end(room, pid);
	});

	it("restore with the same ids names the ways out, and leaves nothing", async () => {
		const room = await aRoom();
		const { status, stderr } = restoreAsNobody(room, "-d");
		expect([status, stderr]).toEqual([
			6,
			`necromancer: process ${PID}: clone3 failed with EPERM, expected to make a process with that id; give ` +
				"CAP_CHECKPOINT_RESTORE or CAP_SYS_ADMIN, or restore with --pid-namespace, or with --fresh-ids [ERR_HOST]\n",
		]);
		expect(room.pids()).toEqual([]);
	});
});

const modes = [
	["the same ids", []],
	["ids of a namespace", ["--pid-namespace"]],
	["new ids", ["--fresh-ids"]],
] as const;

describe.skipIf(!able).each(modes)(`a process with %s${needs}`, (_, mode) => {
	it("ends with its status as ours", async () => {
		const room = await aRoom();
		const read = readImages(images);
		const log = present([...regFilesOf(read).values()].find(({ name }) => name === LOG));
		const fds = read.names.filter((name) => name.startsWith("fdinfo-")).flatMap(read.records);
		const number = fds.find((fd) => Number(fd.number(1)) === log.id)?.number(4);
		// it ends with 4 when it cannot write
		const { status, stderr } = restoreIn(room, ...mode, "--fd", `${number}=/dev/full`);
		expect([status, stderr]).toEqual([
			4,
			expect.stringMatching(/^(?:(?:loss {3}|caution) .+\n)*restored process \d+.*\n$/),
		]);
		expect(await soon(() => room.pids().length === 0)).toBe(true);
	});

	it("goes on without ptrace", async () => {
		const room = await aRoom();
		const { status, stderr } = restoreIn(room, "-d", "--no-ptrace", ...mode);
		expect([status, stderr]).toEqual([
			0,
			expect.stringMatching(
				/^(?:(?:loss {3}|caution) .+\n)*caution without ptrace \d+ KiB of ours stay mapped in it\nrestored process \d+.*\n$/,
			),
		]);
		await expectRounds(room);
		await end(room, present(named(room, "threads")[0]));
	});

	it("is left stopped without ptrace", async () => {
		const room = await aRoom();
		expect(restoreIn(room, "-s", "--no-ptrace", ...mode).status).toBe(0);
		const pid = present(named(room, "threads")[0]);
		for (const tid of readdirSync(room.path(`/proc/${pid}/task`)))
			expect(field(room, `/proc/${pid}/task/${tid}/status`, "State")).toBe("T (stopped)");
		expect(await linesOf(room.path(LOG), 0)).toHaveLength(DEAD);
		room.run(["kill", "-CONT", `${pid}`]);
		await expectRounds(room);
		await end(room, pid);
	});
});

describe.skipIf(!able)(`a step that fails${needs}`, () => {
	it.each(["namespace", "fresh"])("leaves nothing: %s", async (ids) => {
		const room = await aRoom();
		const { status, stdout, stderr } = room.run([process.execPath, walker, dist, images, "400", "13", ids]);
		expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
		const failed: readonly Failure[] = JSON.parse(stdout);
		expect(failed.length).toBeGreaterThan(15);
		expect(failed.filter(({ code, left }) => code !== "ERR_STEP_FAILED" || left.length > 0)).toEqual([]);
		// the last steps of each thread have nobody left to tell
		for (const { step, message } of failed)
			expect(message).toMatch(new RegExp(`^(?:step ${step} of \\d+ \\(|thread \\d+: ended with status 111, )`));
	});
});

it.skipIf(!able)(`one cannot have both${needs}`, async () => {
	const room = await aRoom();
	const { status, stderr } = restoreIn(room, "--pid-namespace", "--fresh-ids");
	expect(status).toBe(2);
	expect(stderr).toMatch(/'--(?:pid-namespace|fresh-ids)' cannot be used with option '--(?:pid-namespace|fresh-ids)'/);
});
