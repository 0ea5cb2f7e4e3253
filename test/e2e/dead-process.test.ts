import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { openFile } from "../../src/bytes/source.ts";
import { readCore } from "../../src/core/core.ts";
import { coreMemory } from "../../src/core/memory.ts";
import { initialStack } from "../../src/core/stack.ts";
import { parseMaps } from "../support/builders/fixture-core.ts";
import { coresLandHere } from "../support/lives/room.ts";
import { hasTool } from "../support/tools.ts";

const ARGS = ["1000", "0.25", "0"];
const ENV = { LANG: "C", EMPTY: "", NAME: "größe", LONG: "x".repeat(5000) };

/** A process asleep, what /proc says of it, and its core by `die`. */
async function dead(die: (pid: number, directory: string) => Promise<void> | void) {
	const directory = mkdtempSync(join(tmpdir(), "necromancer-dead-"));
	const command = `ulimit -c unlimited; exec sleep ${ARGS.join(" ")}`;
	const child = spawn("/bin/sh", ["-c", command], {
		cwd: directory,
		env: { PATH: process.env["PATH"], ...ENV },
		stdio: "ignore",
	});
	const pid = child.pid ?? 0;
	const gone = new Promise((resolve) => child.once("exit", resolve));
	const read = (file: string): string => readFileSync(`/proc/${pid}/${file}`, "utf8");
	try {
		// In clock_nanosleep: the program has started and changes nothing more.
		while (!/^(230|35) /.test(read("syscall")) || read("comm") !== "sleep\n") await sleep(5);
		const fields = read("stat")
			.replace(/^.*\) /, "")
			.split(" ");
		const stat = (field: number): bigint => BigInt(fields[field - 3] ?? 0);
		const live = { stat, maps: parseMaps(read("maps")), cmdline: read("cmdline") };
		await die(pid, directory);
		const [name] = readdirSync(directory).filter((file) => file.startsWith("core"));
		if (name === undefined) return expect.fail("no core was written");
		const core = readCore(openFile(join(directory, name)));
		return { live, pid, core, memory: coreMemory(core) };
	} finally {
		child.kill("SIGKILL");
		await gone;
		rmSync(directory, { recursive: true, force: true });
	}
}

describe.each([
	["the kernel (core_pattern a plain name)", coresLandHere() && hasTool("sleep"), (pid: number) => abort(pid)],
	["gcore (gdb)", hasTool("gcore"), (pid: number, directory: string) => gcore(pid, directory)],
] as const)("a core that %s writes of a process of today", (writer, possible, die) => {
	test.skipIf(!possible)("has its stack where /proc/PID/stat said, its mappings where /proc/PID/maps did", async () => {
		const { live, pid, core, memory } = await dead(die);
		const { stat } = live;
		expect(core.process?.pr_pid).toBe(pid);
		expect(initialStack(core, memory)).toEqual({
			...{ kind: "found", startStack: stat(28) },
			...{ argStart: stat(48), argEnd: stat(49), envStart: stat(50), envEnd: stat(51) },
			...{ argv: ["sleep", ...ARGS], execfn: expect.stringMatching(/\/sleep$/) },
		});
		expect(live.cmdline).toBe(`${["sleep", ...ARGS].join("\0")}\0`);
		const maps = live.maps.filter(({ name }) => writer.startsWith("the kernel") || !name.startsWith("[vvar"));
		const range = ({ start, end }: { start: bigint; end: bigint }) => `${start.toString(16)}-${end.toString(16)}`;
		expect(memory.mappings.map(range)).toEqual(maps.map(range));
	});
});

async function abort(pid: number): Promise<void> {
	process.kill(pid, "SIGABRT");
	// The core is whole when the process is a zombie; it is reaped by whoever started it.
	for (let state = "R"; !/[ZX]/.test(state); await sleep(5)) {
		try {
			state = /\) (.)/.exec(readFileSync(`/proc/${pid}/stat`, "utf8"))?.[1] ?? "X";
		} catch {
			return;
		}
	}
}

function gcore(pid: number, directory: string): void {
	execFileSync("gcore", ["-o", join(directory, "core"), String(pid)], { stdio: "ignore" });
}
