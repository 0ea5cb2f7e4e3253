import { execFileSync, spawn } from "node:child_process";
import {
	chmodSync,
	chownSync,
	copyFileSync,
	existsSync,
	lchownSync,
	mkdtempSync,
	readlinkSync,
	renameSync,
	rmSync,
	statSync,
	symlinkSync,
	unlinkSync,
	writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { openImageDir } from "../../src/criu/image-dir.ts";
import { dump } from "../../src/dump/dump.ts";
import { forestFromImages } from "../../src/images/read/from-images.ts";
import { type Restored, restore } from "../../src/restore/restore.ts";
import { soon } from "../support/lives/living.ts";
import { refusalOf } from "../support/refusal.ts";
import { hasGcc, hasTool, need } from "../support/tools.ts";
import { compile } from "./compile.ts";
import { UID } from "./stage.ts";

/*
 * A user's process with what he could not open himself: a log and a FIFO that root had opened for it, a program that it may execute
 * and not read. Root gives it back what is the same file as at the dump, whatever it is called by now, and nothing else.
 */

const able = need("root, gcc and setpriv", process.getuid?.() === 0 && hasGcc() && hasTool("setpriv"));
const needs = able ? "" : " (needs root, gcc and setpriv)";

let [directory, images] = ["", ""];
let alive: Restored | undefined;
const at = (name: string): string => join(directory, name);

beforeEach(async () => {
	if (!able) return;
	directory = mkdtempSync(join(tmpdir(), "necromancer-closed-"));
	chmodSync(directory, 0o777);
	images = at("images");
	writeFileSync(at("log"), "a log of root's\n", { mode: 0o600 });
	execFileSync("mkfifo", ["-m", "600", at("fifo")]);
	copyFileSync(compile("waiting"), at("prog"));
	chmodSync(at("prog"), 0o711);
	const script = `exec 3>>"$1/log" 4<>"$1/fifo"; exec setpriv --reuid=${UID} --regid=${UID} --clear-groups "$1/prog"`;
	const child = spawn("sh", ["-c", script, "sh", directory], {
		...{ cwd: "/", env: { PATH: process.env["PATH"] }, detached: true, stdio: "ignore" },
	});
	const pid = child.pid ?? 0;
	expect(await soon(() => readlinkSync(`/proc/${pid}/exe`) === at("prog"))).toBe(true);
	expect(await soon(() => statSync(`/proc/${pid}/fd`).isDirectory())).toBe(true);
	await dump(pid, { images, afterwards: "end", pages: true, missing: "error" });
});
afterEach(async () => {
	if (alive !== undefined) {
		if (existsSync(`/proc/${alive.pid}`)) process.kill(alive.pid, "SIGKILL");
		await alive.release();
	}
	alive = undefined;
	rmSync(directory, { recursive: true, force: true });
});

async function restored(trust = false): Promise<Restored> {
	const dir = openImageDir(images);
	try {
		const options = { stopped: true, ids: "fresh", fds: new Map(), missing: "error", trust } as const;
		alive = await restore(forestFromImages(dir), options);
		return alive;
	} finally {
		dir.close();
	}
}

const held = ({ pid }: Restored): readonly string[] =>
	["fd/3", "fd/4", "exe"].map((place) => readlinkSync(`/proc/${pid}/${place}`));

describe.skipIf(!able)(`files that the user of a process may not open${needs}`, () => {
	const all = (): readonly string[] => ["log", "fifo", "prog"].map(at);
	const refusal = (name: string): RegExp =>
		new RegExp(`^ERR_FILE_MISMATCH .*${name}: may not be used by uid ${UID} \\(EACCES\\), expected to use it`);

	it("are given to it by root's images, when they are the same", async () => {
		const process = await restored();
		expect(held(process)).toEqual(all());
		expect(statSync(`/proc/${process.pid}`).uid).toBe(UID);
	});

	it.each(["log", "fifo", "prog"])("and not another in the place of %s, with the same looks", async (name) => {
		renameSync(at(name), at("away"));
		if (name === "fifo") execFileSync("mkfifo", ["-m", "600", at(name)]);
		else copyFileSync(at("away"), at(name));
		chmodSync(at(name), name === "prog" ? 0o711 : 0o600);
		expect(await refusalOf(restored())).toMatch(refusal(name));
		expect(held(await restored(true))).toEqual(all());
	});

	it.each(["log", "fifo", "prog"])("nor another by a link of the user's in the place of %s", async (name) => {
		renameSync(at(name), at("away"));
		copyFileSync(compile("waiting"), at("secret"));
		chmodSync(at("secret"), name === "prog" ? 0o711 : 0o600);
		symlinkSync(at("secret"), at(name));
		lchownSync(at(name), UID, UID);
		expect(await refusalOf(restored())).toMatch(refusal(name));
	});

	it("are not given by images that nothing proves, as CRIU's are; with trust they are", async () => {
		unlinkSync(join(images, "necromancer.img"));
		expect(await refusalOf(restored())).toMatch(/EACCES/);
		expect(held(await restored(true))).toEqual(all());
	});

	it("are his again when he owns them", async () => {
		unlinkSync(join(images, "necromancer.img"));
		for (const path of all()) chownSync(path, UID, UID);
		expect(held(await restored())).toEqual(all());
	});
});
