import { readFileSync, readlinkSync, statSync } from "node:fs";
import { describe, expect, it, vi } from "vitest";
import { openImageDir } from "../../src/criu/image-dir.ts";
import { forestOf } from "../../src/forest/forest.ts";
import type { Task } from "../../src/forest/task.ts";
import { taskFromImages } from "../../src/images/read/from-images.ts";
import { restore } from "../../src/restore/restore.ts";
import { able, cleanedUp, moments, needs } from "./moments.ts";
import { openStage, type Stage, type Target } from "./stage.ts";

/*
 * Root restores an honest dump of a user's process, and the user swaps what the process had for a link to root's own: before
 * root begins, and when all has been opened and judged and the process is about to be made. That moment is made to come:
 * `makeCarrier` is the first thing that happens then.
 */

vi.mock(
	"../../src/restore/carrier.ts",
	async (original: () => Promise<typeof import("../../src/restore/carrier.ts")>) =>
		(await import("./moments.ts")).before("opening", "makeCarrier", original),
);

const made = cleanedUp();

async function dumped(): Promise<{ readonly stage: Stage; readonly images: string }> {
	const stage = openStage();
	made.stage = stage;
	return { stage, images: await stage.dumped() };
}

async function restored(images: string, untraced: boolean, change: (task: Task) => Task = (task) => task) {
	const dir = openImageDir(images);
	try {
		const task = change(taskFromImages(dir));
		const alive = await restore(forestOf([task]), {
			stopped: true,
			ids: "fresh",
			untraced,
			fds: new Map(),
			missing: "error",
		});
		made.alive = alive;
		return alive;
	} finally {
		dir.close();
	}
}

const withRoot =
	(path: string) =>
	(task: Task): Task => ({ ...task, files: { ...task.files, root: path } });

const targets: readonly Target[] = ["log", "data", "d", "r", "prog"];

describe.skipIf(!able).each([
	["traced", false],
	["--no-ptrace", true],
])(`a user swaps what a process had, restored by root, %s${needs}`, (_, untraced) => {
	it("and an honest restore has it all", async () => {
		const { stage, images } = await dumped();
		const { pid } = await restored(images, untraced);
		expect(readlinkSync(`/proc/${pid}/fd/3`)).toBe(stage.own("log"));
		expect(readlinkSync(`/proc/${pid}/cwd`)).toBe(stage.own("d"));
		expect(readFileSync(`/proc/${pid}/maps`, "latin1")).toContain(stage.own("data"));
		expect(statSync(`/proc/${pid}`).uid).toBe(1000);
	});

	it.each(targets)("%s before root begins: it is not opened", async (target) => {
		const { stage, images } = await dumped();
		stage.swap(target);
		const change = target === "r" ? withRoot(stage.own("r")) : undefined;
		await stage.expectRefusal(restored(images, untraced, change), /may not be used by uid 1000 \(EACCES\)/);
	});

	it.each(targets)("%s when it is open: it has what was opened", async (target) => {
		const { stage, images } = await dumped();
		moments.opening = () => stage.swap(target);
		const change = target === "r" ? withRoot(stage.own("r")) : undefined;
		await stage.expectOwn(restored(images, untraced, change), target);
	});

	it.each(targets)("%s for another of his own when it is open: it has what was opened", async (target) => {
		const { stage, images } = await dumped();
		moments.opening = () => stage.replace(target);
		const change = target === "r" ? withRoot(stage.own("r")) : undefined;
		await stage.expectOwn(restored(images, untraced, change), target);
	});
});
