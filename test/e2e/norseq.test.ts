import { execFileSync, type SpawnSyncReturns, spawn, spawnSync } from "node:child_process";
import {
	accessSync,
	chmodSync,
	constants,
	mkdirSync,
	mkdtempSync,
	readdirSync,
	readFileSync,
	readlinkSync,
	rmSync,
	writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { hasGcc } from "../support/tools.ts";

// norseq as a user runs it, under every shell that is at hand.

const root = resolve(import.meta.dirname, "../..");
const norseq = join(root, "src/norseq.sh");

const shells: readonly (readonly string[])[] = [
	["sh"],
	["dash"],
	["bash"],
	["bash", "--posix"],
	["busybox", "ash"],
	["ksh"],
].filter(([program = "", ...args]) => spawnSync(program, [...args, "-c", "true"], { stdio: "ignore" }).status === 0);

const folder = mkdtempSync(join(tmpdir(), "necromancer norseq-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Says its arguments, each closed by a NUL. */
const teller = join(folder, "teller.mjs");
const TELLER = `#!${process.execPath}
for (const arg of process.argv.slice(2)) process.stdout.write(arg + "\\0");
`;

beforeAll(() => {
	writeFileSync(teller, TELLER);
	chmodSync(teller, 0o755);
});

const PATH = process.env["PATH"] ?? "/usr/bin:/bin";

const told = ({ stdout }: SpawnSyncReturns<string>): readonly string[] => stdout.split("\0").slice(0, -1);

/** What `env -0` says; bash counts the shells, and remembers the last command, on its way out. */
const variables = (ran: SpawnSyncReturns<string>): readonly string[] =>
	told(ran)
		.filter((line) => !/^(?:SHLVL|_)=/.test(line))
		.sort();

describe.each(shells.map((command) => ({ name: command.join(" "), command })))("norseq in $name", ({ command }) => {
	const [program = "", ...shell] = command;
	const run = (args: readonly string[], env: Record<string, string> = { PATH }): SpawnSyncReturns<string> =>
		spawnSync(which(program), [...shell, norseq, ...args], { encoding: "utf8", env, cwd: folder, input: "" });
	const tunables = (before: string | undefined): string | undefined =>
		run(["sh", "-c", 'printf %s "$GLIBC_TUNABLES"'], {
			PATH,
			...(before === undefined ? {} : { GLIBC_TUNABLES: before }),
		}).stdout;

	it("says nothing that a terminal would obey", () => {
		expect(run(["no\x1b[2J\nsuch\x7f"], { PATH }).stderr).toBe("norseq: no?[2J?such?: no such program\n");
	});

	it.each([
		[undefined, "glibc.pthread.rseq=0"],
		["", "glibc.pthread.rseq=0"],
		["glibc.pthread.rseq=1", "glibc.pthread.rseq=0"],
		["glibc.malloc.check=1", "glibc.malloc.check=1:glibc.pthread.rseq=0"],
		[
			"glibc.malloc.check=1:glibc.pthread.rseq=1:glibc.cpu.x86_ibt=on",
			"glibc.malloc.check=1:glibc.cpu.x86_ibt=on:glibc.pthread.rseq=0",
		],
		["glibc.pthread.rseq=1:glibc.pthread.rseq=2:a=b", "a=b:glibc.pthread.rseq=0"],
		[":a=b::", "a=b:glibc.pthread.rseq=0"],
		["a=*:b=?", "a=*:b=?:glibc.pthread.rseq=0"],
	])("extends GLIBC_TUNABLES %j", (before, after) => {
		expect(tunables(before)).toBe(after);
	});

	// folklore: from glibc 2.39 on one bad entry makes it ignore all
	it.each(["junk", "a=b=c", "=x"])("leaves out what would make glibc ignore it: %s", (bad) => {
		const { stdout, stderr } = run(["sh", "-c", 'printf %s "$GLIBC_TUNABLES"'], {
			PATH,
			GLIBC_TUNABLES: `a=b:${bad}:c=d`,
		});
		expect(stdout).toBe("a=b:c=d:glibc.pthread.rseq=0");
		expect(stderr).toBe(`norseq: GLIBC_TUNABLES: "${bad}" is left out, expected name=value\n`);
	});

	it("passes arguments on as they are", () => {
		const args = ["", " ", "a b", "c\nd", "*", "$HOME", "`id`", "'", '"', "\\", "--", "-x", "é", "a=b"];
		expect(told(run([teller, ...args]))).toEqual(args);
		expect(told(run(["--", teller, ...args]))).toEqual(args);
	});

	// folklore: dash drops variables that it could not have named, and glibc before 2.39 cuts tunables where /proc shows them
	it("passes the environment on as it is, be it odd", () => {
		const env = {
			PATH,
			A: "1\n2",
			EMPTY: "",
			"a.b": "x y",
			"BASH_FUNC_f%%": "() { echo 'it''s';\n}",
			"-u": "1",
			"1": "2",
			"x-y": '$HOME `id` \\ "',
			norseq: "mine",
			IFS_: ":",
			GLIBC_TUNABLES: "glibc.malloc.check=0:glibc.malloc.arena_max=1",
		};
		const expected = { ...env, GLIBC_TUNABLES: `${env.GLIBC_TUNABLES}:glibc.pthread.rseq=0` };
		expect(variables(run([which("env"), "-0"], env))).toEqual(
			Object.entries(expected)
				.map(([name, value]) => `${name}=${value}`)
				.sort(),
		);
	});

	it("adds nothing to an empty environment but what it is for", () => {
		expect(variables(run([which("env"), "-0"], {}))).toEqual(["GLIBC_TUNABLES=glibc.pthread.rseq=0"]);
	});

	it("ends as its program does, and as env(1) where there is none", () => {
		mkdirSync(join(folder, "directory"), { recursive: true });
		writeFileSync(join(folder, "text"), "text");
		const outcome = (...args: string[]) => {
			const { status, signal, stderr } = run(args);
			return [status ?? signal, stderr];
		};
		expect(outcome("sh", "-c", "exit 7")).toEqual([7, ""]);
		expect(outcome("sh", "-c", "kill -TERM $$")).toEqual(["SIGTERM", ""]);
		expect(outcome("no such program")).toEqual([127, "norseq: no such program: no such program\n"]);
		expect(outcome("./gone")).toEqual([127, "norseq: ./gone: no such program\n"]);
		expect(outcome("")).toEqual([127, "norseq: : no such program\n"]);
		expect(outcome("./text")).toEqual([126, "norseq: ./text: is not an executable file\n"]);
		expect(outcome("./directory")).toEqual([126, "norseq: ./directory: is not an executable file\n"]);
		expect(outcome("--frobnicate", "sh")).toEqual([125, "norseq: unknown option --frobnicate; see norseq --help\n"]);
	});

	it("finds programs as execvp(3) does", () => {
		const bin = join(folder, "bin");
		mkdirSync(bin, { recursive: true });
		for (const name of ["-dash", "a=b", "plain", "cd"]) {
			writeFileSync(join(bin, name), "#!/bin/sh\necho found $#\n");
			chmodSync(join(bin, name), 0o755);
		}
		writeFileSync(join(folder, "plain"), "not this: it cannot be executed");
		const path = { PATH: `/gone::${bin}:${PATH}`, "odd.name": "1" };
		expect(run(["--", "-dash", "x"], path).stdout).toBe("found 1\n");
		expect(run(["a=b"], path).stdout).toBe("found 0\n");
		expect(run(["plain"], path).stdout).toBe("found 0\n");
		expect(run(["cd", "/"], path).stdout).toBe("found 1\n");
		expect(run(["plain"], { PATH: folder }).status).toBe(126);
	});

	it("is a shell without a program", () => {
		const mine = join(folder, "my shell");
		writeFileSync(mine, '#!/bin/sh\nprintf "%s\\n" "$0 $# $GLIBC_TUNABLES"\n');
		chmodSync(mine, 0o755);
		expect(run([], { PATH, SHELL: mine }).stdout).toBe(`${mine} 0 glibc.pthread.rseq=0\n`);
		const own = execFileSync("sh", ["-c", 'getent passwd "$(id -u)" || true'], { encoding: "utf8" })
			.trim()
			.split(":")[6];
		for (const SHELL of ["", "/gone", folder]) {
			const { status, stdout } = spawnSync(which(program), [...shell, norseq], {
				encoding: "utf8",
				env: { PATH, SHELL },
				input: "echo $0 $GLIBC_TUNABLES",
			});
			expect([status, stdout]).toEqual([0, `${own ?? "/bin/sh"} glibc.pthread.rseq=0\n`]);
		}
	});

	it("leaves nothing between: the program has its process id, and no descriptor more", async () => {
		const living = async (command: readonly string[]): Promise<{ exe: string; descriptors: readonly string[] }> => {
			const [file = "", ...args] = command;
			const child = spawn(file, args, { env: { PATH, "odd.name": "1" }, stdio: ["pipe", "pipe", "inherit"] });
			const closed = new Promise((done) => child.once("close", done));
			const answer = new Promise((done) => child.stdout.once("data", done));
			child.stdin.write("x");
			await answer;
			const proc = `/proc/${child.pid}`;
			const seen = { exe: readlinkSync(`${proc}/exe`), descriptors: readdirSync(`${proc}/fd`) };
			child.stdin.end();
			await closed;
			return seen;
		};
		const cat = which("cat");
		expect(await living([which(program), ...shell, norseq, cat])).toEqual(await living([cat]));
	});
});

const which = (program: string): string =>
	execFileSync("sh", ["-c", 'command -v "$1"', "sh", program], { encoding: "utf8" }).trim();

describe("norseq", () => {
	it("says what it is, in few words", () => {
		const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { version: string };
		for (const flag of ["--version", "-V"])
			expect(execFileSync(norseq, [flag], { encoding: "utf8" })).toBe(`norseq ${version}\n`);
		const help = execFileSync(norseq, ["--help"], { encoding: "utf8", env: { PATH: "" } });
		expect(help).toMatch(/^Usage: norseq \[--\] \[PROG \[ARG\.\.\.\]\]\n/);
		expect(help).toMatch(/125 when .* 126 .* 127 /);
		expect(help.split("\n").every((line) => line.length <= 120)).toBe(true);
	});

	it("is a program of the package", () => {
		accessSync(norseq, constants.X_OK);
		const { bin, files } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
			bin: Record<string, string>;
			files: string[];
		};
		expect(bin["norseq"]).toBe("src/norseq.sh");
		expect(files).toContain("src/norseq.sh");
	});

	// The kernel takes one registration of a thread: where glibc has made its own there is no room for ours.
	it.skipIf(!hasGcc())("keeps glibc from registering (needs gcc)", () => {
		writeFileSync(
			join(folder, "rseq.c"),
			`#include <stdio.h>
			#include <unistd.h>
			#include <sys/syscall.h>
			static struct { unsigned words[8]; } __attribute__((aligned(32))) area;
			int main(void) {
				printf("%s\\n", syscall(334, &area, 32, 0, 0x53053053) == 0 ? "free" : "taken");
				return 0;
			}`,
		);
		for (const [name, ...flags] of [["rseq"], ["rseq-static", "-static"]] as const) {
			const program = join(folder, name);
			execFileSync("gcc", ["-o", program, join(folder, "rseq.c"), ...flags], { stdio: "ignore" });
			const plain = spawnSync(program, { encoding: "utf8", env: {} }).stdout;
			// glibc before 2.35 registers nothing: then there is nothing to show
			expect(["taken\n", "free\n"]).toContain(plain);
			expect(spawnSync(norseq, [program], { encoding: "utf8" }).stdout).toBe("free\n");
			const before = "glibc.pthread.rseq=1:glibc.malloc.check=0:junk";
			expect(spawnSync(norseq, [program], { encoding: "utf8", env: { GLIBC_TUNABLES: before } }).stdout).toBe("free\n");
		}
	});
});
