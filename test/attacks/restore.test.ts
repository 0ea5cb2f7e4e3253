import { existsSync, readFileSync, readlinkSync, statSync } from "node:fs";
import { afterEach, describe, expect, it, vi } from "vitest";
import { openImageDir } from "../../src/criu/image-dir.ts";
import { type Restored, restore } from "../../src/restore/restore.ts";
import { taskFromImages } from "../../src/task/from-images/from-images.ts";
import type { Task } from "../../src/task/task.ts";
import { hasGcc, need } from "../support/tools.ts";
import { openStage, type Stage, type Target } from "./stage.ts";

/*
 * Root restores an honest dump of a user's process, and the user swaps what the process had for a link to root's own: before
 * root begins, and at the worst moment, when all has been judged and the process is about to be made. That moment is made to
 * come: `makeCarrier` is the first thing that happens after the judging.
 */

const moment = vi.hoisted(() => ({ act: (): void => {} }));
vi.mock("../../src/restore/carrier.ts", async (original) => {
	const real = await original<typeof import("../../src/restore/carrier.ts")>();
	return {
		...real,
		makeCarrier: (...args: Parameters<typeof real.makeCarrier>) => {
			moment.act();
			return real.makeCarrier(...args);
		},
	};
});

const able = need("root and gcc", process.getuid?.() === 0 && hasGcc());
const needs = able ? "" : " (needs root and gcc)";

let stage: Stage | undefined;
let alive: Restored | undefined;
afterEach(async () => {
	moment.act = () => {};
	if (alive !== undefined) {
		if (existsSync(`/proc/${alive.pid}`)) process.kill(alive.pid, "SIGKILL");
		await alive.release();
	}
	alive = undefined;
	stage?.close();
	stage = undefined;
});

async function dumped(): Promise<{ readonly stage: Stage; readonly images: string }> {
	stage = openStage();
	return { stage, images: await stage.dumped() };
}

async function restored(images: string, untraced: boolean, change: (task: Task) => Task = (task) => task) {
	const dir = openImageDir(images);
	try {
		const task = change(taskFromImages(dir));
		alive = await restore(task, { stopped: true, ids: "fresh", untraced, fds: new Map(), missing: "error" });
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

	it.each(targets)("%s between judging and opening: the kernel says no to its user", async (target) => {
		const { stage, images } = await dumped();
		moment.act = () => stage.swap(target);
		const change = target === "r" ? withRoot(stage.own("r")) : undefined;
		await stage.expectRefusal(restored(images, untraced, change), /returned EACCES/);
	});

	it.each(targets)(
		"%s for another of his own between judging and opening: it is not what was judged",
		async (target) => {
			const { stage, images } = await dumped();
			moment.act = () => stage.replace(target);
			const change = target === "r" ? withRoot(stage.own("r")) : undefined;
			await stage.expectRefusal(restored(images, untraced, change), /as it was found/);
		},
	);
});
