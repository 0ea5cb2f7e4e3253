import { spawn } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { built } from "../support/lives/built.ts";
import { type Linked, type LinkedFile, linked } from "../support/lives/linked.ts";
import { soon } from "../support/lives/living.ts";
import { hasGcc, hasTool, need } from "../support/tools.ts";

// What a core or an image names is a name for one call only: of the agent, as the process's user. Then it is a descriptor.

const able = need("root, gcc and strace", process.getuid?.() === 0 && hasGcc() && hasTool("strace", ["-V"]));
const needs = able ? "" : " (needs root, gcc and strace)";

describe.skipIf(!able)(`the files of a core, traced by strace${needs}`, () => {
	let dead: Linked;
	let main = "";
	beforeAll(async () => {
		main = join(built(), "cli/main.js");
		dead = await linked();
	});
	afterAll(() => dead.close());

	/** Every call that names a file, by the file, while a command runs; strace goes on until what the command made has ended. */
	async function callsOf(args: readonly string[], pidfile?: string) {
		const log = join(dead.directory, "strace");
		const traced = ["-f", "-qq", "-s", "4096", "-e", "trace=%file,openat2", "-o", log];
		const named = pidfile === undefined ? [] : ["--pidfile", pidfile];
		const child = spawn("strace", [...traced, process.execPath, main, ...args, ...named], { stdio: "ignore" });
		let over = false;
		const ended = new Promise<number | null>((done) => child.once("close", done)).finally(() => {
			over = true;
		});
		if (pidfile !== undefined) {
			const pid = (): number => Number(existsSync(pidfile) ? readFileSync(pidfile, "utf8") : "");
			while (!over && pid() === 0) await soon(() => over || pid() > 0);
			if (pid() > 0) process.kill(pid(), "SIGKILL");
		}
		const status = await ended;
		const lines = readFileSync(log, "latin1").split("\n");
		// an interrupted call is told in two lines, of which the first has its arguments
		const calls = lines.map((line) => line.replace(/^\d+ +/, ""));
		return { status, of: (name: LinkedFile) => calls.filter((call) => call.includes(`"${dead.at(name)}"`)) };
	}

	const mapped: readonly LinkedFile[] = ["prog", "libone.so", "libtwo.so", "data"];
	/** As the agent looks at it: it has no side effects, and follows nothing. */
	const once = [expect.stringMatching(/^openat2\(AT_FDCWD, ".*", \{flags=O_RDONLY\|O_CLOEXEC\|O_PATH/)];

	// two may not trace one process
	const raise = ["raise", "--no-ptrace", "--fresh-ids", "-q"];
	const verbs: readonly (readonly [string, readonly string[]])[] = [
		["raise", raise],
		["raise --lazy", [...raise, "--lazy"]],
		["raise --check", [...raise, "--check"]],
		["plan", ["plan", "--no-ptrace", "--fresh-ids", "--json"]],
	];

	it.each(verbs)("%s opens each by its path once", async (verb, args) => {
		const lives = verb.startsWith("raise") && !args.includes("--check");
		const { status, of } = await callsOf([...args, dead.core], lives ? join(dead.directory, verb) : undefined);
		expect(status).toBe(0);
		for (const name of mapped) expect([name, of(name)]).toEqual([name, once]);
	});

	it("and so with a donor, with what that had open", async () => {
		const { status, of } = await callsOf([...raise, "--check", "-i", dead.images, dead.core]);
		expect(status).toBe(0);
		for (const name of [...mapped, "log"] as const) expect([name, of(name)]).toEqual([name, once]);
	});
});
