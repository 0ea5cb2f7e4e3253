import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative, resolve } from "node:path";
import { gunzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { built } from "../support/lives/built.ts";
import { canHaveRooms, openRoom } from "../support/lives/room.ts";

// The command as a user types it: what it says, where, and how it ends.

const root = resolve(import.meta.dirname, "../..");
let main = "";
const scratch = mkdtempSync(join(tmpdir(), "necromancer-cli-"));

const run = (...args: string[]) => {
	const { status, stdout, stderr } = spawnSync(process.execPath, [main, ...args], {
		cwd: scratch,
		encoding: "utf8",
		env: { PATH: process.env["PATH"] },
	});
	return { status, stdout, stderr };
};

beforeAll(() => {
	main = join(built(), "cli/main.js");
	const core = gunzipSync(readFileSync(join(root, "fixtures/counter-static/core.gz")));
	writeFileSync(join(scratch, "core"), core);
	writeFileSync(join(scratch, "short"), core.subarray(0, 100_000));
});
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

const donor = join(root, "fixtures/counter-static/images");

describe("necromancer", () => {
	it("says what is missing", () => {
		expect(run()).toEqual({
			status: 2,
			stdout: "",
			stderr: "necromancer: -c CORE is missing; see necromancer --help [ERR_USAGE]\n",
		});
		expect(run("-c", "core").stderr).toBe("necromancer: -i IMGDIR is missing; see necromancer --help [ERR_USAGE]\n");
	});

	it("refuses what it does not know", () => {
		expect(run("--resurrect")).toEqual({
			status: 2,
			stdout: "",
			stderr: "necromancer: unknown option '--resurrect'; see necromancer --help [ERR_USAGE]\n",
		});
		expect(run("show", "--pid", "x", "core").stderr).toBe(
			'necromancer: --pid: expected a process id, not "x"; see necromancer show --help [ERR_USAGE]\n',
		);
	});

	it("takes -D for -i, as CRIU has it", () => {
		for (const verb of ["restore", "plan"]) {
			const help = `see necromancer ${verb} --help [ERR_USAGE]\n`;
			expect(run(verb).stderr).toBe(`necromancer: required option '-i, --images <dir>' not specified; ${help}`);
			expect(run(verb, "-i", "a", "-D", "b").stderr).toBe(`necromancer: -i and -D name two directories; ${help}`);
			expect(run(verb, "-D", "nowhere").stderr).toContain("nowhere");
		}
		expect(run("-c", "core", "-D", "nowhere").stderr).toContain("nowhere");
		expect(run("plan", "-D", donor)).toMatchObject({ status: 0, stderr: "" });
		expect(run("restore", "-D", donor, "-S")).toMatchObject({ status: 2, stdout: "" });
	});

	it("plans from wherever it is run, and opens no image by its name", () => {
		const { status, stdout } = run("plan", "-v", "-i", relative(scratch, donor));
		expect(status).toBe(0);
		expect(stdout).not.toContain('pages-1.img"');
	});

	it("writes to a log file what it would say, and why it refuses there, too", () => {
		const log = join(scratch, "restore.log");
		const { status, stderr } = run("restore", "-D", "nowhere", "-v4", "-o", log);
		expect(status).not.toBe(0);
		expect(stderr).toMatch(/^necromancer: .*nowhere.* \[ERR_\w+\]\n$/);
		expect(readFileSync(log, "utf8")).toBe(stderr);
		expect(run("restore", "-D", "nowhere", "-o", join(scratch, "no such/log")).stderr).toContain("no such/log");
	});

	it("does not mind a reader that leaves early", () => {
		for (const words of ["--help", "raise --help", "show core"]) {
			const command = `{ "${process.execPath}" "${main}" ${words}; echo $? >&2; } | :`;
			const { stderr } = spawnSync("bash", ["-c", command], { cwd: scratch, encoding: "utf8" });
			expect([words, stderr]).toEqual([words, "0\n"]);
		}
	});

	it("tells its version and how it is used", () => {
		const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
		expect(run("--version")).toEqual({ status: 0, stdout: `${version}\n`, stderr: "" });
		expect(run("--help")).toMatchObject({ status: 0, stderr: "" });
		expect(run("--help").stdout).toContain("necromancer -c core.5739 -i IMGDIR");
		for (const verb of ["raise", "dump", "restore", "show", "plan", "check"]) {
			const { status, stdout } = run(verb, "--help");
			expect([verb, status, stdout.includes(`\n  $ necromancer ${verb}`)]).toEqual([verb, 0, true]);
			expect(stdout.split("\n").filter((line) => line.length > 125)).toEqual([]);
		}
	});

	const able = canHaveRooms();
	it.skipIf(!able)(`checks without writing${able ? "" : " (needs root, unshare and nsenter)"}`, async () => {
		// where the program lies at its own place
		const room = await openRoom();
		try {
			const core = join(scratch, "core");
			expect(room.run([process.execPath, main, "--trust", "-c", core, "-i", donor, "--check"])).toEqual({
				status: 0,
				stdout:
					"check: counter-static (pid 25364, 1 thread; SIGABRT sent by pid 25359 (uid 0)) can be patched into this donor; nothing lost; nothing was written\n",
				stderr: "",
			});
		} finally {
			await room.close();
		}
	});

	it("prints findings and outcome as JSON, and nothing else", () => {
		const { stdout, stderr, status } = run("--trust", "-c", "core", "-i", donor, "--check", "--json");
		expect({ stderr, status }).toEqual({ stderr: "", status: 0 });
		expect(JSON.parse(stdout)).toMatchObject({
			schema: 1,
			kind: "patch",
			written: null,
			pid: 25364,
			threads: [25364],
			death: { signal: 6 },
		});
	});

	it("reaches show with its options", () => {
		expect(JSON.parse(run("show", "--json", "core").stdout)).toMatchObject({ schema: 1, kind: "core" });
	});

	it.each([
		["a core cut short", ["-c", "short", "-i", donor], 3, "ERR_CORE_TRUNCATED"],
		["no core at all", ["-c", "absent", "-i", donor], 1, "ERR_IO"],
		[
			"a donor of another program",
			["-c", "core", "-i", join(root, "fixtures/perl/images"), "--check"],
			4,
			"ERR_DONOR_MISMATCH",
		],
		["a directory without images", ["-c", "core", "-i", ".", "--check"], 4, "ERR_IMAGE_MISSING"],
		["something that is no core", ["show", join(root, "package.json")], 3, "ERR_CORE_MAGIC"],
	])("refuses %s", (_, args, status, code) => {
		const outcome = run(...args);
		expect(outcome).toMatchObject({ status, stdout: "" });
		expect(outcome.stderr).toMatch(new RegExp(`^necromancer: .*\\[${code}\\]\\n$`));
	});

	it("lets nothing of a hostile name reach the terminal", () => {
		const { stderr } = run("show", "\u001b[31mred");
		expect(stderr).toBe("necromancer: \\x1b[31mred: open failed with ENOENT (no such file) [ERR_IO]\n");
	});
});
