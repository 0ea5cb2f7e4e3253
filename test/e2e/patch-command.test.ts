import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { cpSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { fixtureCore, fixturePath } from "../support/builders/fixture-core.ts";
import { patchInto } from "../support/builders/patching.ts";
import { built } from "../support/lives/built.ts";
import { soon } from "../support/lives/living.ts";
import { digests, fingerprint } from "../support/witness/directory-print.ts";

describe("necromancer -c CORE -i IMGDIR", () => {
	let program = "";
	const scratch = mkdtempSync(join(tmpdir(), "necromancer-command-"));
	afterAll(() => rmSync(scratch, { recursive: true, force: true }));
	const core = join(scratch, "core");
	const donor = fixturePath("counter-static/images");
	beforeAll(() => {
		program = join(built(), "cli/main.js");
		writeFileSync(core, fixtureCore("counter-static"));
	});
	const run = (...args: string[]) => {
		const { status, stdout, stderr } = spawnSync(process.execPath, [program, "--trust", "-c", core, ...args], {
			encoding: "utf8",
		});
		return { status, stdout, stderr };
	};
	const silent = { status: 0, stdout: "", stderr: "" };
	const copy = (name: string): string => {
		const path = join(scratch, name);
		cpSync(donor, path, { recursive: true });
		return path;
	};

	it("writes nothing with --check", () => {
		const path = copy("checked");
		const before = fingerprint(path);
		const { status, stdout, stderr } = run("-i", path, "--check");
		expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
		expect(stdout).toMatch(/^check: counter-static \(pid 25364, 1 thread; .*; nothing was written$/m);
		expect(fingerprint(path)).toBe(before);
	});

	it("leaves the donor alone with -o, and writes there what it writes in place", () => {
		const path = copy("kept");
		const before = fingerprint(path);
		const out = join(scratch, "elsewhere");
		expect(run("-i", path, "-o", out, "-q")).toEqual(silent);
		expect(fingerprint(path)).toBe(before);
		expect(run("-i", path, "-q")).toEqual(silent);
		expect(withoutClock(path)).toEqual(withoutClock(out));
	});

	it("changes nothing the second time", () => {
		const path = copy("twice");
		expect(run("-i", path, "-q")).toEqual(silent);
		const once = digests(path);
		expect(run("-i", path, "-q")).toEqual(silent);
		expect(digests(path)).toEqual(once);
	});

	it("leaves no lock when it is interrupted before it has its core", async () => {
		const path = copy("interrupted");
		const before = readdirSync(path);
		const child = spawn(process.execPath, [program, "-c", "-", "-i", path], { stdio: ["pipe", "ignore", "ignore"] });
		const locked = (): boolean => readdirSync(path).some((name) => name.startsWith(".necromancer-lock."));
		expect(await soon(locked)).toBe(true);
		child.kill("SIGTERM");
		const [, signal] = (await once(child, "close")) as [number | null, string | null];
		expect(signal).toBe("SIGTERM");
		expect(readdirSync(path)).toEqual(before);
	});

	it("is not kept out by the lock of one that was killed", async () => {
		const path = copy("killed");
		const child = spawn(process.execPath, [program, "-c", "-", "-i", path], { stdio: ["pipe", "ignore", "ignore"] });
		const locks = (): string[] => readdirSync(path).filter((name) => name.startsWith(".necromancer-lock."));
		expect(await soon(() => locks().length > 0)).toBe(true);
		child.kill("SIGKILL");
		await once(child, "close");
		expect(locks()).toHaveLength(1);
		expect(run("-i", path, "-q")).toEqual(silent);
		expect(locks()).toEqual([]);
	});

	it("writes what the functions write", async () => {
		const out = join(scratch, "by command");
		expect(run("-i", donor, "-o", out, "-q")).toEqual(silent);
		const { images } = await patchInto(core, donor, join(scratch, "by functions"));
		// which pages are left to files hangs on the files that this host has
		const edited = images.names.filter((name) => !/^(pagemap-|pages-|timens-)/.test(name));
		const [ours, theirs] = [digests(images.path), digests(out)];
		expect(Object.keys(theirs)).toEqual(Object.keys(ours));
		for (const name of edited) expect(theirs[name], name).toBe(ours[name]);
	});
});

/** The clock of a patch hangs on when the core was written and how long this host has been up. */
const withoutClock = (directory: string): Record<string, string> => {
	const { "timens-0.img": _clock, ...others } = digests(directory);
	return others;
};
