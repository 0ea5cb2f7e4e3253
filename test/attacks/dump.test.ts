import { spawn } from "node:child_process";
import {
	chmodSync,
	closeSync,
	copyFileSync,
	existsSync,
	openSync,
	readdirSync,
	readFileSync,
	readlinkSync,
	statSync,
	writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, it, vi } from "vitest";
import { openImageDir } from "../../src/criu/image-dir.ts";
import { dump } from "../../src/dump/dump.ts";
import { taskFromImages } from "../../src/images/read/from-images.ts";
import { soon } from "../support/lives/living.ts";
import { hasGcc, need } from "../support/tools.ts";
import { compile } from "./compile.ts";
import { openStage, SECRET, type Stage, type Target } from "./stage.ts";

/*
 * Root dumps a user's process, and the user puts links to root's own in the place of what it has: once it stands still, and
 * between the reading of a name and whatever is found out of the file that has it. Those moments are made to come.
 */

const moments = vi.hoisted(() => ({ strike: (_: string): void => {} }));
const after = vi.hoisted(() => (moment: string, work: (...args: never[]) => unknown) => (...args: never[]) => {
	const result = work(...args);
	if (!(result instanceof Promise)) moments.strike(moment);
	return result instanceof Promise ? result.finally(() => moments.strike(moment)) : result;
});
vi.mock("../../src/trace/seize-all.ts", async (original) => {
	const real = await original<typeof import("../../src/trace/seize-all.ts")>();
	return { ...real, seizeAll: after("it stands still", real.seizeAll) };
});
vi.mock("../../src/dump/mappings.ts", async (original) => {
	const real = await original<typeof import("../../src/dump/mappings.ts")>();
	return { ...real, classify: after("its mappings have been listed", real.classify) };
});
vi.mock("../../src/dump/open-files.ts", async (original) => {
	const real = await original<typeof import("../../src/dump/open-files.ts")>();
	return { ...real, openDescriptors: after("its descriptors have been listed", real.openDescriptors) };
});
vi.mock("../../src/dump/files.ts", async (original) => {
	const real = await original<typeof import("../../src/dump/files.ts")>();
	return { ...real, filesOf: after("its files have been described", real.filesOf) };
});

const able = need("root and gcc", process.getuid?.() === 0 && hasGcc());
const needs = able ? "" : " (needs root and gcc)";

let stage: Stage | undefined;
afterEach(() => {
	moments.strike = () => {};
	stage?.close();
	stage = undefined;
});

const targets: readonly Target[] = ["log", "data", "d", "prog"];

/** Root's files look otherwise than the user's: what is told of one cannot be meant of the other. */
function openScene(): Stage {
	const scene = openStage();
	const roots = join(scene.directory, "root");
	for (const name of ["log", "data"]) writeFileSync(join(roots, name), `${SECRET}and more\n`);
	copyFileSync(compile("waiting"), join(roots, "prog"));
	for (const name of [...targets, "r"]) chmodSync(join(roots, name), 0o440);
	stage = scene;
	return scene;
}

describe.skipIf(!able)(`who shares the descriptors of a process that is dumped${needs}`, () => {
	it("makes a FIFO of a file without a name, and nobody waits at it", async () => {
		const scene = openScene();
		const [home, images] = [join(scene.directory, "u"), join(scene.directory, "images")];
		const { pid = 0 } = spawn(compile("sharing"), [home], { cwd: "/", env: {}, detached: true, stdio: "ignore" });
		const shared = () => Number(readFileSync(`/proc/${pid}/task/${pid}/children`, "latin1"));
		const fifo = join(home, "fifo");
		let release: NodeJS.Timeout | undefined;
		try {
			expect(await soon(() => shared() > 0 && readlinkSync(`/proc/${shared()}/cwd`) === "/tmp")).toBe(true);
			moments.strike = (now) => {
				if (now !== "its files have been described") return;
				process.kill(pid, "SIGUSR1");
				while (readlinkSync(`/proc/${pid}/fd/3`) !== fifo)
					Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
				// whoever waits is let go
				release = setTimeout(() => closeSync(openSync(fifo, "r+")), 2000);
			};
			const options = { images, afterwards: "run", pages: true, missing: "error" } as const;
			await expect(dump(shared(), options)).rejects.toThrow(/nameless, deleted/);
			expect(existsSync(images)).toBe(false);
		} finally {
			clearTimeout(release);
			for (const one of [shared(), pid]) process.kill(one, "SIGKILL");
		}
	});
});

describe.skipIf(!able)(`a user swaps what his process has, dumped by root${needs}`, () => {
	const looks = (path: string) => {
		const { ino, mode, size } = statSync(path, { bigint: true });
		return { ino, mode: Number(mode), size };
	};

	it.each([
		"it stands still",
		"its mappings have been listed",
		"its descriptors have been listed",
		"its files have been described",
	])("when %s", async (moment) => {
		const scene = openScene();
		const his = new Map(targets.map((name) => [name, looks(scene.own(name))]));
		const pid = await scene.live();
		const images = join(scene.directory, "images");
		let struck = false;
		moments.strike = (now) => {
			if (now !== moment || struck) return;
			struck = true;
			for (const target of targets) scene.swap(target);
		};
		const attempt = dump(pid, { images, afterwards: "end", pages: true, missing: "error" });
		const refused = await attempt.then(
			() => undefined,
			(error: unknown) => String(error),
		);
		expect(struck).toBe(true);
		for (const name of existsSync(images) ? readdirSync(images) : [])
			expect([name, readFileSync(join(images, name), "latin1").includes(SECRET)]).toEqual([name, false]);
		expect(refused).toBeUndefined();

		const dir = openImageDir(images);
		try {
			const { files, memory } = taskFromImages(dir);
			const nameOf = (path: string) => targets.find((name) => path.startsWith(scene.own(name)));
			const known = [...(files.identities ?? [])].filter(([path]) => nameOf(path) !== undefined);
			for (const [path, { inode }] of known) expect([path, inode]).toEqual([path, his.get(nameOf(path) ?? "log")?.ino]);
			const told = [...(memory.files ?? []).values()].filter(({ path }) => nameOf(path) !== undefined);
			expect(told.length).toBeGreaterThan(0);
			for (const { path, size, mode } of told)
				expect([path, size, mode]).toEqual([
					path,
					his.get(nameOf(path) ?? "log")?.size,
					his.get(nameOf(path) ?? "log")?.mode,
				]);
		} finally {
			dir.close();
		}
	});
});
