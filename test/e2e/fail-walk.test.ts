import { copyFileSync, mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { type Failure, walker } from "../support/faults/fail-walk.ts";
import { built } from "../support/lives/built.ts";
import { until } from "../support/lives/lives.ts";
import { ownRoom } from "../support/lives/own-room.ts";
import { canHaveRooms } from "../support/lives/room.ts";
import { hasTool } from "../support/tools.ts";

// A restore that fails leaves nothing, wherever it does: no process, terminal, lock, IPC object or file of a socket.

const able = canHaveRooms() && hasTool("python3");
const needs = able ? "" : " (needs root, unshare, nsenter and python3)";

const { directory, room, necromancer, command, begin, clear } = ownRoom({ able }, async () => {
	copyFileSync(join(import.meta.dirname, "../support/lives/household.py"), join(directory, "household.py"));
	mkdirSync(names);
	// terminals of its own: others of the machine come and go
	expect(room().run(["mount", "-t", "devpts", "-o", "ptmxmode=666", "devpts", "/dev/pts"]).status).toBe(0);
	const root = begin(["unshare", "--ipc", "python3", join(directory, "household.py"), names]);
	expect(await until(() => readdirSync(names).includes("ready"))).toBe(true);
	expect(necromancer("dump", "-q", "-t", `${root}`, "-i", images)).toEqual({ status: 0, stdout: "", stderr: "" });
	await clear();
});
const names = join(directory, "names");
const images = join(directory, "images");

/** Files that no socket has made. */
const KEPT = ["flocked", "locked", "ready"];

/** Restores, and kills itself as its last deed before it lets go of them. */
const IS_KILLED = `
const [, dist, images] = process.argv;
const { restore } = await import(dist + "/restore/restore.js");
const { openImageDir } = await import(dist + "/criu/image-dir.js");
const { forestFromImages } = await import(dist + "/images/read/from-images.js");
const { writeSync } = await import("node:fs");
const requireUnchanged = () => {
	writeSync(1, "all are there\\n");
	process.kill(process.pid, "SIGKILL");
};
const forest = forestFromImages(openImageDir(images));
await restore(forest, { stopped: false, fds: new Map(), missing: "error", requireUnchanged });
`;

interface Planned {
	readonly id: number;
	readonly call: string;
}

const steps = (): readonly Planned[] => {
	const file = join(directory, "plan");
	room().run(["sh", "-c", `exec "$@" >${file}`, "sh", ...command("plan", "-i", images, "--json")]);
	const lists: readonly { steps: readonly Planned[] }[] = JSON.parse(readFileSync(file, "utf8")).lists;
	return lists.flatMap((list) => list.steps);
};

describe.skipIf(!able)(`a household with one of everything${needs}`, () => {
	it("leaves nothing where a step fails, whichever it is; then it comes back", () => {
		const planned = steps();
		// what its last life had left: a restore may take it away, and need not
		for (const name of ["bound", "lost"]) room().run(["rm", "-f", join(names, name)]);
		const stride = Math.ceil(planned.length / 25);
		const walking = ["unshare", "--ipc", process.execPath, walker, built(), images];
		const walked = room().run([...walking, `${planned.length}`, `${stride}`, "same", names], {}, 200_000);
		expect([walked.status, walked.stderr]).toEqual([0, ""]);
		const walk: readonly Failure[] = JSON.parse(walked.stdout);
		expect(walk).toHaveLength(Math.ceil(planned.length / stride));
		const odd = walk.filter(
			({ code, exitStatus, left, changed }) =>
				code !== "ERR_STEP_FAILED" || exitStatus !== 7 || left.length + changed.length > 0,
		);
		expect(odd).toEqual([]);
		// right behind what makes a file, too
		const made = planned.filter((_, i) => ["bind", "mknodat"].includes(planned[i - 1]?.call ?? ""));
		expect(made.length).toBeGreaterThan(3);
		for (const { id } of made.slice(0, 4)) {
			const failing = ["env", `NECROMANCER_FAIL_STEP=${id}`, ...command("restore", "-d", "-i", images)];
			expect(room().run(failing).status).toBe(7);
			expect([readdirSync(names).sort(), room().pids()]).toEqual([KEPT, []]);
		}
		expect(necromancer("restore", "-d", "-i", images)).toMatchObject({ status: 0 });
		expect(readdirSync(names).sort()).toEqual([...KEPT, "bound", "lost"].sort());
	});

	it("leaves nothing where the restorer is killed when all of it is there", async () => {
		for (const name of ["bound", "lost"]) room().run(["rm", "-f", join(names, name)]);
		const killed = room().run([process.execPath, "--input-type=module", "-e", IS_KILLED, built(), images]);
		expect([killed.status, killed.stdout]).toEqual([null, "all are there\n"]);
		expect(await until(() => room().pids().length === 0)).toBe(true);
		expect(readdirSync(names).sort()).toEqual(KEPT);
	});
});
