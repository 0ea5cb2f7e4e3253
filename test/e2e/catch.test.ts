import { execFileSync, spawnSync } from "node:child_process";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { openFile } from "../../src/bytes/source.ts";
import { runTraced, type TracedProgram } from "../../src/catch/catch.ts";
import { readCore } from "../../src/core/core.ts";
import { coreMemory } from "../../src/core/memory.ts";
import { isDead, soon, stateOf } from "../support/lives/living.ts";
import { refusalOf } from "../support/refusal.ts";
import { scratch } from "../support/scratch.ts";
import { hasTool, need } from "../support/tools.ts";
import { readRawCore } from "../support/witness/core-reader.ts";

// Cores that we take ourselves of dying processes; the kernel's, gdb's and binutils' word against ours.

const [SIGABRT, SIGSEGV] = [6, 11];
const running: TracedProgram[] = [];

afterEach(async () => {
	for (const charge of running.splice(0)) await charge.close();
});

async function caught(program: string, args: readonly string[], env = {}): Promise<TracedProgram> {
	const charge = await runTraced({ path: program, args, env });
	running.push(charge);
	return charge;
}

/** What a file says once it says something. */
async function saying(path: string): Promise<string> {
	writeFileSync(path, "", { flag: "a" });
	expect(await soon(() => readFileSync(path, "utf8").includes("\n"))).toBe(true);
	return readFileSync(path, "utf8");
}

const corePattern = readFileSync("/proc/sys/kernel/core_pattern", "utf8").trim();
const kernelWrites = need(
	"a core_pattern that leads to a file where the process is",
	/^[^|@/][^/]*$/.test(corePattern),
);

describe("a core of our own", () => {
	it.skipIf(!kernelWrites || !hasTool("prlimit"))(
		"is the kernel's, but for the order of vector registers (needs prlimit, and a core_pattern without pipe and path)",
		async () => {
			const dir = scratch();
			const charge = await caught("/bin/sh", ["-c", 'cd "$1" && echo ready >ready && exec sleep 60', "sh", dir]);
			await saying(join(dir, "ready"));
			expect(await soon(() => readFileSync(`/proc/${charge.pid}/comm`, "utf8") === "sleep\n")).toBe(true);
			expect(await soon(() => stateOf(charge.pid) === "S")).toBe(true);
			execFileSync("prlimit", [`--pid=${charge.pid}`, "--core=unlimited:unlimited"]);
			const { end } = await charge.kill(SIGABRT, join(dir, "own"));
			expect(end).toEqual({ kind: "killed", signal: SIGABRT });
			const [kernels = ""] = readdirSync(dir).filter((name) => name !== "own" && name !== "ready");
			const [own, theirs] = [join(dir, "own"), join(dir, kernels)].map((path) => readRawCore(readFileSync(path)));
			if (own === undefined || theirs === undefined) return expect.unreachable();
			expect(own.loads).toEqual(theirs.loads);
			expect(own.notes.map(({ owner, type }) => [owner, type])).toEqual(
				theirs.notes.map(({ owner, type }) => [owner, type]),
			);
			const vector = [0x202, 0x205];
			const same = ({ type }: { type: number }): boolean => !vector.includes(type);
			expect(own.notes.filter(same).map(comparable)).toEqual(theirs.notes.filter(same).map(comparable));
			const avx = (core: typeof own): Buffer | undefined => {
				const at = core.offsets.get(2) ?? 0;
				return core.threads[0]?.xstate.subarray(at, at + 256);
			};
			expect(avx(own)).toEqual(avx(theirs));
		},
	);

	it("of many threads says what /proc says, and ends the process by the signal", async () => {
		const log = join(scratch(), "log");
		const script = `const m = new Map([["a", 1]]); require("fs").writeFileSync(${JSON.stringify(log)}, "up\\n"); setInterval(() => m.size, 1e6)`;
		const charge = await caught(process.execPath, ["-e", script], { UV_USE_IO_URING: "0" });
		await saying(log);
		const proc = (name: string): string => readFileSync(`/proc/${charge.pid}/${name}`, "latin1");
		const [maps, auxv] = [proc("maps"), readFileSync(`/proc/${charge.pid}/auxv`)];
		const tids = readdirSync(`/proc/${charge.pid}/task`).map(Number);
		const path = join(scratch(), "core");
		const { core: written, end } = await charge.kill(SIGSEGV, path);
		// node asks its own handler first, which then dies of the same
		expect(end).toEqual({ kind: "killed", signal: SIGSEGV });
		expect(isDead(charge.pid)).toBe(true);
		const file = openFile(path);
		try {
			const core = readCore(file);
			expect(core.source.size).toBe(written.size);
			expect(core.writer).toBe("kernel");
			expect(core.threads.map(({ status }) => status.pr_pid).sort()).toEqual(tids.sort());
			expect(core.threads[0]?.status.pr_pid).toBe(charge.pid);
			expect(core.segments.map(({ start }) => start.toString(16).padStart(8, "0"))).toEqual(
				[...maps.matchAll(/^([0-9a-f]+)-/gm)].map(([, start]) => start),
			);
			expect(core.auxv[0]?.value).toBe(auxv.readBigUInt64LE(8));
			expect(core.process).toMatchObject({ pr_fname: "node", pr_pid: charge.pid, pr_uid: process.getuid?.() });
			const memory = coreMemory(core);
			for (const { status } of core.threads) expect(memory.readWord(status.pr_reg.sp as never)).toBeDefined();
		} finally {
			file.close();
		}
	});

	it.skipIf(!hasTool("gdb") || !hasTool("readelf") || !hasTool("eu-readelf"))(
		"is read by gdb, readelf and eu-readelf (needs them)",
		async () => {
			const charge = await caught("/bin/sleep", ["60"]);
			expect(await soon(() => stateOf(charge.pid) === "S")).toBe(true);
			const path = join(scratch(), "core");
			await charge.kill(SIGABRT, path);

			const { stdout } = spawnSync(
				"gdb",
				[
					"-nx",
					"-batch",
					...["bt", "info threads", "x/2gx $sp", "p $ymm0", "info proc mappings"].flatMap((x) => ["-ex", x]),
					"/bin/sleep",
					path,
				],
				{ encoding: "utf8", env: { ...process.env, DEBUGINFOD_URLS: "" } },
			);
			expect(stdout).toContain("Program terminated with signal SIGABRT");
			expect(stdout).toMatch(new RegExp(`^\\* 1 .*\\b${charge.pid}\\b`, "m"));
			expect(stdout).toMatch(/^#0 .*nanosleep/m);
			expect(stdout).toMatch(/ 0x0 +\S*\/sleep$/m);
			expect(stdout).toContain("v4_double");
			const core = readRawCore(readFileSync(path));
			const sp = core.threads[0]?.registers[19] ?? 0n;
			const stack = core.loads.find(({ start, end }) => start <= sp && sp < end);
			const word = stack?.bytes.readBigUInt64LE(Number(sp - stack.start)) ?? 0n;
			expect(stdout).toContain(`0x${sp.toString(16)}:\t0x${word.toString(16).padStart(16, "0")}`);

			const binutils = spawnSync("readelf", ["-n", path], { encoding: "utf8" });
			const names = ["PRSTATUS", "PRPSINFO", "SIGINFO", "AUXV", "FILE", "FPREGSET", "X86_XSTATE"];
			for (const name of names) expect(binutils.stdout).toContain(`NT_${name}`);
			const elfutils = spawnSync("eu-readelf", ["-n", path], { encoding: "utf8" });
			expect(elfutils.status).toBe(0);
			expect(elfutils.stdout).toContain(`pid: ${charge.pid},`);
			expect(elfutils.stdout).toMatch(/fname: sleep\b/);
			expect(elfutils.stdout).toMatch(/sender PID: \d+/);
		},
	);

	it("is not made of a program that cannot be run", async () => {
		expect(await refusalOf(runTraced({ path: "/nowhere/at all", args: [], env: {} }))).toBe(
			"ERR_HOST /nowhere/at all: cannot be run: ENOENT, expected a program",
		);
	});

	it.skipIf(!hasTool("setpriv"))(
		"is over with us, though the program wants no signal when its parent dies (needs setpriv)",
		async () => {
			const charge = await caught(
				execFileSync("sh", ["-c", "command -v setpriv"], { encoding: "utf8" }).trim(),
				[...["--pdeathsig", "clear", "sleep", "60"]],
				{ PATH: process.env["PATH"] ?? "" },
			);
			expect(await soon(() => readFileSync(`/proc/${charge.pid}/comm`, "utf8") === "sleep\n")).toBe(true);
			await charge.close();
			expect(await soon(() => isDead(charge.pid))).toBe(true);
		},
	);

	it("does not take another file's place, and leaves the process alive then", async () => {
		const charge = await caught("/bin/sleep", ["60"]);
		const path = join(scratch(), "core");
		writeFileSync(path, "mine");
		expect(await refusalOf(charge.kill(SIGABRT, path))).toBe(`ERR_IO ${path}: open failed with EEXIST`);
		expect(readFileSync(path, "utf8")).toBe("mine");
		expect(isDead(charge.pid)).toBe(false);
	});

	it("is not made of a process that ends before the signal comes", async () => {
		const charge = await caught("/bin/true", []);
		expect(await soon(() => isDead(charge.pid))).toBe(true);
		const dir = scratch();
		expect(await refusalOf(charge.kill(SIGABRT, join(dir, "core")))).toMatch(/^ERR_HOST thread \d+: ptrace/);
		expect(readdirSync(dir)).toEqual([]);
	});
});

/** Without times and the kernel's own flags, which say that it is dumping. */
function comparable({ type, desc }: { type: number; desc: Buffer }): Buffer {
	const copy = Buffer.from(desc);
	if (type === 1) copy.fill(0, 48, 112);
	if (type === 3) copy.fill(0, 8, 16);
	return copy;
}
