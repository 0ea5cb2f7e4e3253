import { execFileSync } from "node:child_process";
import {
	chmodSync,
	chownSync,
	cpSync,
	existsSync,
	lstatSync,
	mkdirSync,
	mkdtempSync,
	readdirSync,
	readFileSync,
	rmSync,
	symlinkSync,
	writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { fixturePath } from "../support/builders/fixture-core.ts";
import { built } from "../support/lives/built.ts";
import { canHaveRooms, openRoom, type Ran, type Room } from "../support/lives/room.ts";
import { contentsOf } from "../support/scratch.ts";
import { hasTool } from "../support/tools.ts";

// The verbs, where another user owns what they are given, and as an ordinary user where root does.

const able = canHaveRooms() && hasTool("setpriv");
const needs = able ? "" : " (needs root, unshare, nsenter and setpriv)";
const THEM = 1000;
/** What Docker leaves to root (moby, oci/caps/defaults.go). */
const CAPABILITIES = [
	...["chown", "dac_override", "fsetid", "fowner", "mknod", "net_raw", "setgid", "setuid", "setfcap", "setpcap"],
	...["net_bind_service", "sys_chroot", "kill", "audit_write"],
];
const contained = [
	"setpriv",
	`--bounding-set=-all,${CAPABILITIES.map((name) => `+${name}`).join()}`,
	"--inh-caps=-all",
];
const fixture = "counter-static";

const directory = mkdtempSync(join(tmpdir(), "necromancer-verbs-"));
const [home, victim, core] = [join(directory, "home"), join(directory, "victim"), join(directory, "core")];
let main = "";
let room: Room;
beforeAll(async () => {
	if (!able) return;
	chmodSync(directory, 0o755);
	main = join(built(), "cli/main.js");
	room = await openRoom();
	mkdirSync(home);
	mkdirSync(victim);
	writeFileSync(core, gunzipSync(readFileSync(fixturePath(`${fixture}/core.gz`))));
	give(home);
	symlinkSync(victim, join(home, "way"));
	execFileSync("chown", ["-h", `${THEM}:${THEM}`, join(home, "way")]);
});
afterAll(async () => {
	if (able) await room.close();
	rmSync(directory, { recursive: true, force: true });
});

function give(path: string): void {
	execFileSync("chown", ["-R", `${THEM}:${THEM}`, path]);
}

function donor(path: string): string {
	cpSync(fixturePath(`${fixture}/images`), path, { recursive: true });
	return path;
}

const run = (...args: string[]): Ran => room.run([process.execPath, main, ...args]);
const ordinary = (uid: number): readonly string[] => [
	...["setpriv", `--reuid=${uid}`, `--regid=${uid}`, "--clear-groups", "--bounding-set=-all"],
];
const asThem = (...args: string[]): Ran => room.run([...ordinary(THEM), process.execPath, main, ...args]);
const LINK = /^necromancer: \S+: way on the way there is a link of user 1000's, .* \[ERR_OWNER\]\n$/;

describe.skipIf(!able)(`root, given what another user owns${needs}`, () => {
	it.each([
		["root", []],
		["a container's root", contained],
		["an ordinary user", ordinary(1001)],
	])("%s is led nowhere by his links", (_, who) => {
		const pid = Number(room.run(["sh", "-c", "sleep 100 </dev/null >/dev/null 2>&1 & echo $!"]).stdout);
		if (!existsSync(join(victim, "images"))) donor(join(victim, "images"));
		const before = readdirSync(victim);
		const way = join(home, "way");
		for (const args of [
			["dump", "-t", `${pid}`, "-i", join(way, "out")],
			["-c", core, "-i", join(way, "images")],
			["--trust", "-c", core, "-i", join(victim, "images"), "-o", join(way, "out")],
			["restore", "-i", join(way, "images"), "-d"],
			["raise", "--trust", core, "-i", join(way, "images")],
			["raise", "--trust", "--fresh-ids", "-q", core, "--pidfile", join(way, "pid")],
			["restore", "-i", join(victim, "images"), "-d", "-o", join(way, "log")],
		]) {
			const { status, stderr } = room.run([...who, process.execPath, main, ...args]);
			expect([args, status, LINK.test(stderr) ? "a link" : stderr]).toEqual([args, 1, "a link"]);
		}
		expect(readdirSync(victim)).toEqual(before);
		expect(room.pids()).toEqual([pid]);
		room.run(["kill", "-KILL", `${pid}`]);
	});

	it("makes a directory of its own in his", () => {
		const pid = Number(room.run(["sh", "-c", "sleep 100 </dev/null >/dev/null 2>&1 & echo $!"]).stdout);
		const out = join(home, "dumped");
		expect(run("dump", "-t", `${pid}`, "-i", out, "-q")).toMatchObject({ status: 0, stderr: "" });
		expectRoots(out);
	});

	it("owns what it has patched", () => {
		const images = donor(join(home, "images"));
		give(images);
		expect(run("-q", "--trust", "-c", core, "-i", images)).toEqual({ status: 0, stdout: "", stderr: "" });
		expectRoots(images);
	});

	it("leaves it to him where a container keeps it from owning it", () => {
		const images = donor(join(home, "contained"));
		give(images);
		const before = contentsOf(images);
		const said = room.run([
			...["setpriv", "--bounding-set=-chown", "--inh-caps=-chown"],
			...[process.execPath, main, "-q", "--trust", "-c", core, "-i", images],
		]);
		expect(said.stderr).toMatch(
			/^necromancer: \S+: belongs to user 1000, expected a directory of our own, .* \[ERR_OWNER\]\n$/,
		);
		expect(contentsOf(images)).toEqual(before);
		expect(lstatSync(images).uid).toBe(THEM);
	});

	function expectRoots(path: string): void {
		for (const name of [".", ...readdirSync(path)]) {
			const { uid, mode } = lstatSync(join(path, name));
			expect([name, uid, mode & 0o077]).toEqual([name, 0, 0]);
		}
	}
});

describe.skipIf(!able)(`an ordinary user${needs}`, () => {
	it("patches what is his, and nothing of root's", () => {
		const own = donor(join(home, "own"));
		give(own);
		chownSync(core, THEM, THEM);
		expect(asThem("-q", "-c", core, "-i", own)).toEqual({ status: 0, stdout: "", stderr: "" });
		expect(lstatSync(join(own, "pages-1.img")).uid).toBe(THEM);
		const roots = donor(join(directory, "roots"));
		chmodSync(roots, 0o777);
		const before = contentsOf(roots);
		expect(asThem("-q", "-c", core, "-i", roots).stderr).toBe(
			`necromancer: ${roots}: belongs to user 0, expected a directory of our own, or the right to make it that; write the result elsewhere with -o, or copy the directory [ERR_OWNER]\n`,
		);
		expect(contentsOf(roots)).toEqual(before);
		const out = join(home, "theirs");
		expect(asThem("-q", "-c", core, "-i", roots, "-o", out)).toEqual({ status: 0, stdout: "", stderr: "" });
		expect(existsSync(join(out, "inventory.img"))).toBe(true);
	});
});
