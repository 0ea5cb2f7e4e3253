import { execFileSync, spawnSync } from "node:child_process";
import { chmodSync, chownSync, mkdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openCoreSource } from "../../src/raise/open-core.ts";
import { raise, rehearseRaise } from "../../src/raise/raise.ts";
import { built } from "../support/lives/built.ts";
import { LINKED_USER, type Linked, type LinkedFile, linked } from "../support/lives/linked.ts";
import { refusalOf } from "../support/refusal.ts";
import { hasGcc, need } from "../support/tools.ts";

// `raise --check` and `plan CORE` open what the deed opens, plan it all, and refuse what it refuses before anything is made.

const able = need("root and gcc", process.getuid?.() === 0 && hasGcc());
const needs = able ? "" : " (needs root and gcc)";

const [NT_PRSTATUS, NT_PRPSINFO] = [1, 3];

/** A core with another word in the first note of a type. @param at offset in `struct elf_prstatus` or `elf_prpsinfo`. */
function withWord(core: Buffer, type: number, at: number, word: number): Buffer {
	const changed = Buffer.from(core);
	const name = Buffer.from("CORE\0\0\0\0");
	let note = changed.indexOf(name);
	while (changed.readUInt32LE(note - 4) !== type || changed.readUInt32LE(note - 12) !== 5)
		note = changed.indexOf(name, note + 1);
	changed.writeUInt32LE(word, note + name.length + at);
	return changed;
}

describe.skipIf(!able)(`what raise refuses, its check and its plan refuse alike${needs}`, () => {
	let dead: Linked;
	let main = "";
	beforeAll(async () => {
		main = join(built(), "cli/main.js");
		dead = await linked();
	});
	afterAll(() => dead.close());

	const verbs = [["raise", "-q"], ["raise", "-q", "--check"], ["plan"]] as const;

	/** How each verb ends, and what it says. */
	const said = (args: readonly string[], core = dead.core) =>
		verbs.map((verb) => {
			const { status, stderr } = spawnSync(process.execPath, [main, ...verb, "--fresh-ids", ...args, core], {
				encoding: "utf8",
			});
			return { status, stderr };
		});

	/** Puts something in the place of a file, for a while. */
	async function without(name: LinkedFile, put: (path: string) => void, look: () => void): Promise<void> {
		const path = dead.at(name);
		renameSync(path, `${path}.away`);
		try {
			put(path);
			look();
		} finally {
			rmSync(path, { recursive: true, force: true });
			renameSync(`${path}.away`, path);
		}
	}

	const other = (path: string): void => {
		writeFileSync(`${path}.c`, "int one(void) { return 7; } int two(void) { return 9; }\n");
		execFileSync("gcc", ["-shared", "-fPIC", "-Wl,--build-id", "-o", path, `${path}.c`]);
	};
	const closed = (path: string): void => {
		writeFileSync(path, readFileSync(`${path}.away`));
		chmodSync(path, 0o600);
	};

	const cases: readonly (readonly [what: string, LinkedFile, put: (path: string) => void, status: number, RegExp])[] = [
		["a library that is gone", "libone.so", () => {}, 5, /is not here, .*\[ERR_BINARY_MISSING\]/],
		["a library that is closed to the user", "libtwo.so", closed, 5, /may not be used by uid 1000 \(EACCES\)/],
		["a library of another build", "libone.so", other, 5, /has build-id .*\[ERR_BINARY_MISMATCH\]/],
		["a FIFO in its place", "libone.so", (path) => void execFileSync("mkfifo", [path]), 5, /is no regular file here/],
		["a directory in its place", "libone.so", (path) => mkdirSync(path), 5, /is no regular file here/],
		[
			"another user's link in its place",
			"libone.so",
			(path) => linkOfAnother(path),
			5,
			/is reached by a link of user 4242's/,
		],
		["an executable that is gone", "prog", () => {}, 5, /prog: is not here/],
	];
	const linkOfAnother = (path: string): void => {
		symlinkSync(`${path}.away`, path);
		execFileSync("chown", ["-h", "4242", path]);
	};

	it.each(cases)("%s", async (_, name, put, status, message) => {
		await without(name, put, () => {
			const [deed, ...others] = said([]);
			expect(deed).toEqual({ status, stderr: expect.stringMatching(message) });
			for (const it of others) expect(it).toEqual(deed);
		});
	});

	it("files that a donor had open, and has not", async () => {
		const donor = ["-i", dead.images];
		for (const [put, message] of [
			[() => {}, /log: is not here, .*\[ERR_FILE_MISMATCH\]/],
			[closed, /log: may not be opened by uid 1000, as whom it is raised/],
			[(path: string) => void execFileSync("mkfifo", [path]), /log: .*\[ERR_FILE_MISMATCH\]/],
		] as const)
			await without("log", put, () => {
				const [deed, ...others] = said(donor);
				expect(deed?.stderr).toMatch(message);
				for (const it of others) expect(it).toEqual(deed);
			});
	});

	it.each([
		["a file of --fd that is not here", ["--fd", "5=/nowhere/at/all"], /\/nowhere\/at\/all: is not here/],
		["a --map-file of what was not mapped", ["--map-file", "/typo=/bin/sh"], /\[ERR_USAGE\]/],
		["a --sysroot that is none", ["--sysroot", "/nowhere"], /\[ERR_USAGE\]/],
		["a --search that is none", ["--search", "/nowhere"], /\[ERR_USAGE\]/],
	])("%s", (_, args, message) => {
		const [deed, ...others] = said(args);
		expect(deed?.stderr).toMatch(message);
		for (const it of others) expect(it).toEqual(deed);
	});

	it("registers that would kill it at once", () => {
		const core = join(dead.directory, "core.cs");
		// pr_reg at 112, cs is its 18th word
		writeFileSync(core, withWord(readFileSync(dead.core), NT_PRSTATUS, 112 + 17 * 8, 0x10));
		chownSync(core, LINKED_USER, LINKED_USER);
		const [deed, ...others] = said([], core);
		expect(deed?.stderr).toMatch(/cs is 0x10, expected 0x33/);
		for (const it of others) expect(it).toEqual(deed);
	});

	it("an id that is taken", async () => {
		const core = join(dead.directory, "core.pid");
		const named = withWord(readFileSync(dead.core), NT_PRSTATUS, 32, process.pid);
		writeFileSync(core, withWord(named, NT_PRPSINFO, 24, process.pid));
		chownSync(core, LINKED_USER, LINKED_USER);
		const options = { stopped: true, ids: "same", fds: new Map(), missing: "error" } as const;
		const opened = await openCoreSource(core, {});
		try {
			const deed = await refusalOf(raise(opened, options));
			expect(deed).toMatch(new RegExp(`^ERR_PID_TAKEN pid ${process.pid}: is taken by`));
			expect(await refusalOf(rehearseRaise(opened, options))).toBe(deed);
		} finally {
			opened.close();
		}
	});

	it("not what the caller names, though its user may not open it", async () => {
		const copy = join(dead.directory, "closed.so");
		writeFileSync(copy, readFileSync(dead.at("libone.so")));
		chmodSync(copy, 0o600);
		const pidfile = join(dead.directory, "closed.pid");
		const args = ["--map-file", `${dead.at("libone.so")}=${copy}`, "--fresh-ids", dead.core];
		const raised = spawnSync(process.execPath, [main, "raise", "-q", "--pidfile", pidfile, ...args], {
			encoding: "utf8",
		});
		expect(raised).toMatchObject({ status: 0, stderr: "" });
		const pid = Number(readFileSync(pidfile, "utf8"));
		try {
			expect(readFileSync(`/proc/${pid}/maps`, "latin1")).toContain(copy);
			expect(readFileSync(`/proc/${pid}/status`, "latin1")).toMatch(/^Uid:\t1000\t1000\t1000\t1000$/m);
		} finally {
			process.kill(pid, "SIGKILL");
		}
		for (const verb of [["raise", "-q", "--check"], ["plan"]])
			expect(spawnSync(process.execPath, [main, ...verb, ...args], { encoding: "utf8" })).toMatchObject({
				status: 0,
				stderr: "",
			});
	});

	it("and nothing where nothing is wrong", () => {
		const check = spawnSync(process.execPath, [main, "raise", "--check", "--json", "--fresh-ids", dead.core]);
		const plan = spawnSync(process.execPath, [main, "plan", "--json", "--fresh-ids", dead.core]);
		expect([check.status, plan.status]).toEqual([0, 0]);
		const [told, planned] = [check, plan].map(({ stdout }) => JSON.parse(stdout.toString()));
		expect(planned).toMatchObject({ kind: "plan", pid: dead.pid });
		const findings = ({ findings: all }: { findings: { code: string }[] }) =>
			all.filter(({ code }) => code !== "clock");
		expect(findings(planned)).toEqual(findings(told));
	});
});
