import { execFileSync } from "node:child_process";
import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setImmediate as nextTurn } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { fixturePath } from "../support/builders/fixture-core.ts";
import { built } from "../support/lives/built.ts";
import { canBeFaulty, FAULTY_NEEDS, type Faulty, killFaulty, SIGNAL_PID } from "../support/lives/faulty.ts";
import { soon } from "../support/lives/living.ts";
import { openRoom, type Ran, type Room } from "../support/lives/room.ts";
import { readImages } from "../support/witness/image-reader.ts";

// What containers and small limits take away: each is named, and done without where that can be.

const able = canBeFaulty();

const directory = mkdtempSync(join(tmpdir(), "necromancer-containers-"));
let [main, filtered, images] = ["", "", ""];
let dead: Faulty;
let room: Room;
beforeAll(async () => {
	if (!able) return;
	main = join(built(), "cli/main.js");
	filtered = join(directory, "filtered");
	const source = fileURLToPath(new URL("../support/lives/filtered.c", import.meta.url));
	execFileSync("gcc", ["-O1", "-static", "-o", filtered, source]);
	dead = await killFaulty(directory);
	room = await openRoom();
	room.putLog("counter-static");
	images = join(room.temporary, "images");
	cpSync(fixturePath("counter-static/images"), images, { recursive: true });
});
afterEach(async () => {
	if (!able) return;
	for (const pid of room.pids()) room.run(["kill", "-KILL", `${pid}`]);
	expect(await soon(() => room.pids().length === 0)).toBe(true);
});
afterAll(async () => {
	if (able) await room.close();
	rmSync(directory, { recursive: true, force: true });
});

const necromancer = (...args: readonly string[]): readonly string[] => [process.execPath, main, ...args];
/** It ends with status 7 when it goes on. */
const raised = (...args: readonly string[]): readonly string[] =>
	necromancer("raise", "-q", "--trust", "--wait", ...args, dead.signal);
/** By x86-64 numbers. */
const [PTRACE, CLONE3] = [101, 435];
const [EPERM, ENOSYS] = [1, 38];
const without = (call: number, errno: number, command: readonly string[]): Ran =>
	room.run([filtered, `${call}`, `${errno}`, ...command]);

describe.skipIf(!able)(`in a container${able ? "" : ` (${FAULTY_NEEDS})`}`, () => {
	it("whose seccomp filter hides clone3, processes and threads are made by clone, with new ids", () => {
		expect(without(CLONE3, ENOSYS, raised())).toEqual({ status: 7, stdout: "", stderr: "" });
		const { status, stderr } = without(CLONE3, ENOSYS, necromancer("restore", "-d", "--fresh-ids", "-i", images));
		expect({ status, stderr }).toEqual({
			status: 0,
			stderr: expect.stringMatching(/^restored process \d+, which was \d+\n$/m),
		});
	});

	it("whose seccomp filter hides clone3, that is named where ids are wanted", () => {
		const pid = Number(readImages(images).records("pstree.img")[0]?.number(1));
		for (const mode of [[], ["--pid-namespace"]]) {
			const { status, stderr } = without(CLONE3, ENOSYS, necromancer("restore", "-d", ...mode, "-i", images));
			expect({ status, stderr }).toEqual({
				status: 6,
				stderr:
					`necromancer: process ${pid}: clone3 failed with ENOSYS, expected no seccomp filter to hide it: only clone3 makes ` +
					"processes with ids of one's choice; allow clone3 (docker run --security-opt seccomp=unconfined), " +
					"or restore with --fresh-ids [ERR_HOST]\n",
			});
			expect(room.pids()).toEqual([]);
		}
	});

	it("without ptrace, --no-ptrace is named, and helps", () => {
		expect(without(PTRACE, EPERM, raised())).toEqual({
			status: 6,
			stdout: "",
			stderr:
				`necromancer: thread ${SIGNAL_PID}: ptrace(PTRACE_SEIZE) failed with EPERM, expected to be allowed to trace it; ` +
				"give CAP_SYS_PTRACE, see that no other tracer, seccomp filter or security module is in the way, " +
				"or do without with --no-ptrace [ERR_HOST]\n",
		});
		expect(without(PTRACE, EPERM, raised("--no-ptrace")).status).toBe(7);
	});

	it("with the /proc of another pid namespace, that is named before anybody is taken for somebody else", () => {
		for (const command of [raised(), necromancer("dump", "-t", "1", "-i", join(directory, "none"))]) {
			const { status, stderr } = room.run(["unshare", "--pid", "--fork", ...command]);
			expect({ status, stderr }).toEqual({
				status: 6,
				stderr: expect.stringMatching(
					/^necromancer: \/proc: shows another pid namespace: there we are process \d+, here 1, expected that of our own; mount one's own \(unshare --mount-proc, mount -t proc proc \/proc\) \[ERR_HOST\]\n$/,
				),
			});
		}
	});
});

describe.skipIf(!able)(`with few descriptors${able ? "" : ` (${FAULTY_NEEDS})`}`, () => {
	it("the limit is named, whichever descriptor is the first too many", async () => {
		let enough = false;
		// Node itself may not get as far as us
		for (let limit = 20; !enough; limit += 2) {
			// vitest asks its workers for signs of life
			await nextTurn();
			const { status, stderr } = room.run(["prlimit", `--nofile=${limit}`, ...raised()]);
			enough = status === 7 && stderr === "";
			if (enough) break;
			expect([limit, stderr]).toEqual([limit, expect.stringMatching(/RLIMIT_NOFILE|node:internal/)]);
			// far beyond what a process of three descriptors can want
			expect(limit).toBeLessThan(100);
		}
	});
});
