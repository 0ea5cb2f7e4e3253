import { spawn } from "node:child_process";
import {
	chmodSync,
	chownSync,
	copyFileSync,
	existsSync,
	mkdirSync,
	mkdtempSync,
	readFileSync,
	readlinkSync,
	rmSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { believedImages } from "../../src/cli/believed-images.ts";
import { openImageDir } from "../../src/criu/image-dir.ts";
import { dump } from "../../src/dump/dump.ts";
import { rootOf } from "../../src/forest/whole.ts";
import { taskFromImages } from "../../src/images/read/from-images.ts";
import { type Restored, restore } from "../../src/restore/restore.ts";
import { soon } from "../support/lives/living.ts";
import { hasGcc, need } from "../support/tools.ts";
import { compile } from "./compile.ts";
import { give, UID } from "./stage.ts";

/*
 * A user's images say that the process lives in a root directory which he has furnished, and has a directory outside of it open. Only
 * root can bring that about: a set-user-ID program that it executes there would take its interpreter from the user's tree.
 */

const able = need("root and gcc", process.getuid?.() === 0 && hasGcc());
const needs = able ? "" : " (needs root and gcc)";

let [directory, images] = ["", ""];
let alive: Restored | undefined;
beforeEach(async () => {
	if (!able) return;
	directory = mkdtempSync(join(tmpdir(), "necromancer-jail-"));
	chmodSync(directory, 0o755);
	const [jail, outside] = [join(directory, "jail"), join(directory, "outside")];
	images = join(directory, "images");
	mkdirSync(join(jail, "lib64"), { recursive: true });
	copyFileSync(
		compile("interpreter", "-nostdlib", "-static-pie", "-fPIE", "-fno-stack-protector"),
		join(jail, "lib64/ld-linux-x86-64.so.2"),
	);
	give(jail);
	mkdirSync(outside);
	const tool = join(outside, "tool");
	copyFileSync(compile("waiting"), tool);
	chownSync(tool, 0, 0);
	chmodSync(tool, 0o4755);
	const program = join(outside, "jailed");
	copyFileSync(compile("jailed", "-static"), program);
	const { pid = 0 } = spawn(program, [jail, outside, `${UID}`], { cwd: "/", env: {}, detached: true, stdio: "ignore" });
	expect(await soon(() => /^Uid:\t1000\t1000\t1000/m.test(readFileSync(`/proc/${pid}/status`, "latin1")))).toBe(true);
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

/** The user that it is when it has executed the program. */
async function executed(
	trust: boolean,
): Promise<{ readonly user: string | undefined; readonly said: readonly string[] }> {
	const dir = openImageDir(images);
	try {
		const { forest, findings } = believedImages(dir, undefined, { trust, runs: true });
		alive = await restore(forest, { stopped: false, ids: "fresh", fds: new Map(), missing: "error" });
		const { pid } = alive;
		expect(readlinkSync(`/proc/${pid}/root`)).toBe(join(directory, "jail"));
		process.kill(pid, "SIGUSR1");
		expect(await soon(() => readFileSync(`/proc/${pid}/comm`, "utf8") !== "jailed\n")).toBe(true);
		const user = /^Uid:\t\d+\t(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "latin1"))?.[1];
		return { user, said: findings.map(({ text }) => text) };
	} finally {
		dir.close();
	}
}

describe.skipIf(!able)(`a set-user-ID program in a root directory of a user's choice${needs}`, () => {
	it("gives his images, restored by root, no rights of root's", async () => {
		give(images);
		expect(await executed(false)).toEqual({
			user: `${UID}`,
			said: [
				`gets no_new_privs, as ${images} is uid ${UID}'s: what it executes gains nothing by set-user-ID bits or file capabilities; --trust leaves that out`,
			],
		});
	});

	it("is as it was in root's own", async () => {
		const dir = openImageDir(images);
		const { forest } = believedImages(dir, undefined, { trust: false, runs: true });
		expect(rootOf(forest).threads[0]?.credentials.noNewPrivileges).toBe(
			taskFromImages(dir).threads[0]?.credentials.noNewPrivileges,
		);
		dir.close();
	});
});
