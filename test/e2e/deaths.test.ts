import { createHash } from "node:crypto";
import { readFileSync, rmSync, statSync, truncateSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, it } from "vitest";
import {
	askGdb,
	bytesAt,
	garbleAuxv,
	inCore,
	longAt,
	type Program,
	pokeRegister,
	registersIn,
	statusOf,
	tidsOf,
} from "../support/lives/deaths.ts";
import { deathsRoom } from "../support/lives/deaths-room.ts";
import { soon } from "../support/lives/living.ts";
import type { Ran, Room } from "../support/lives/room.ts";
import { present } from "../support/present.ts";

// Odd deaths: each is died, raised and looked at.

let room: Room;
let program: Program;
const { able, needs, command, necromancer, raise, dead } = deathsRoom({ first: 20_001 }, (there) => {
	({ room, program } = there);
});
/** All that the program knows, added up. */
const known = (pid: number, tid = pid): bigint => {
	const kept = bytesAt(room, pid, Number(longAt(room, pid, program.at("kept"), tid)), 8000, tid);
	return Array.from({ length: 1000 }, (_, i) => kept.readBigInt64LE(8 * i)).reduce(
		(sum, value) => sum + value,
		longAt(room, pid, program.at("total"), tid),
	);
};
const well = { status: 0, stdout: "", stderr: "" };
const digest = (path: string): string => createHash("sha256").update(readFileSync(path)).digest("hex");

describe.skipIf(!able)(`nothing destroyed${needs}`, () => {
	it("a process that dies again leaves the core alone that it came from, unless it is asked for one", async () => {
		const { core, pid, place } = dead("again");
		const before = digest(core);
		const inItsPlace = (...args: readonly string[]): Ran =>
			room.run(["sh", "-c", 'cd "$1"; shift; ulimit -c unlimited; exec "$@"', "sh", place, ...args]);
		const again = command("raise", "--trust", "-q", "--run", core);
		inItsPlace(...again);
		expect(await soon(() => !room.pids().includes(pid))).toBe(true);
		expect(digest(core)).toBe(before);
		inItsPlace(...again, "--limit", "core=unlimited");
		expect(await soon(() => !room.pids().includes(pid))).toBe(true);
		expect(digest(core)).not.toBe(before);
		expect(raise("--limit", "cores=1", core)).toMatchObject({
			status: 2,
			stderr:
				'necromancer: --limit: expected NAME=NUMBER or NAME=unlimited with a limit such as core, not "cores=1"; see necromancer raise --help [ERR_USAGE]\n',
		});
	});
});

describe.skipIf(!able)(`registers that lead nowhere${needs}`, () => {
	it.each([
		["overflow", "leads to no memory"],
		["thread-overflow", "leads to memory that cannot be written, such as the guard page of a stack"],
		["low-sp", "leads to no memory"],
		["wild-sp", "is no address at all"],
		["kernel-sp", "leads to no memory"],
	])("%s: comes up as it was, with all that it knew", (how, where) => {
		const { core, pid, place } = dead(how);
		const { status, stdout, stderr } = raise("--json", core);
		expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
		const { findings, death } = JSON.parse(stdout);
		const theirs = registersIn(inCore(room, program, core, "info registers"));
		const sp = present(theirs.get("rsp"));
		expect(findings).toContainEqual({
			...{ weight: "caution", code: "pointers", subject: `thread ${death.tid}` },
			text: `its stack pointer ${sp} ${where}: before it can call a function, or have a handler called, it needs another (gdb: set $rsp = …)`,
		});
		// images say it too, whoever made them
		const images = join(place, "images");
		expect(necromancer("dump", "-q", "-t", `${pid}`, "-i", images)).toEqual(well);
		const restored = necromancer("restore", "-d", "-s", "-i", images);
		expect([restored.status, restored.stderr]).toEqual([
			0,
			expect.stringContaining(`its stack pointer ${sp} ${where}`),
		]);
		const thread = death.tid === pid ? [] : ["thread 2"];
		expect(registersIn(askGdb(room, pid, ...thread, "info registers"))).toEqual(theirs);
		expect(known(pid)).toBe(4711n + 499_500n);
		// as gdb would have it before it calls anything
		const mended = askGdb(room, pid, ...thread, "set $rsp = (long)spare + 60000", "print $rsp - (long)spare");
		expect(mended).toContain("= (void *) 0xea60\n");
		room.run(["kill", "-KILL", `${pid}`]);
	});

	it.each(["0x4141414141414141", "0xfffffffffffff000"])("rip %s: comes up, and dies when it goes on", async (ip) => {
		const { core, pid } = dead("count");
		pokeRegister(core, "ip", BigInt(ip));
		const { status, stdout, stderr } = raise("-v", core);
		expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
		expect(stdout).toContain(`its instruction pointer ${ip} leads to no code: going on, it dies at once`);
		expect(registersIn(askGdb(room, pid, "info registers")).get("rip")).toBe(ip);
		room.run(["kill", "-CONT", `${pid}`]);
		expect(await soon(() => !room.pids().includes(pid))).toBe(true);
	});
});

describe.skipIf(!able)(`memory that is not all there${needs}`, () => {
	it("a mapping that reaches beyond its file's end", () => {
		const { core, pid, place } = dead("beyond");
		expect(raise("-q", core)).toEqual(well);
		const at = Number(longAt(room, pid, program.at("shown")));
		expect(Buffer.from(bytesAt(room, pid, at, 2)).toString()).toBe("xy");
		expect(Buffer.from(bytesAt(room, pid, at + 5000, 2)).toString()).toBe("\0z");
		expect(() => bytesAt(room, pid, at + 4 * 4096, 1)).toThrow("EIO");
		room.run(["kill", "-KILL", `${pid}`]);
		// cut since: what the core has of it stays
		truncateSync(join(place, "data"), 100);
		expect(raise("-q", core)).toEqual(well);
		expect(Buffer.from(bytesAt(room, pid, at + 5000, 2)).toString()).toBe("\0z");
	});

	it("shared memory that is gone: refused with the way to go on, and then a loss", () => {
		const { core, pid, place } = dead("shared");
		const path = join(place, "data");
		rmSync(path);
		expect(raise(core)).toEqual({
			...{ status: 5, stdout: "" },
			stderr: `necromancer: ${path}: is not here, expected it: 32768 of 32768 bytes mapped of it are not in the core; name it with --map-file OLD=NEW, its tree with --sysroot DIR, or a directory that has it with --search DIR, or go on without data that is gone with --missing-files zeros [ERR_BINARY_MISSING]\n`,
		});
		const { status, stdout } = raise("--missing-files", "zeros", core);
		expect(status).toBe(0);
		expect(stdout).toContain(
			`${path} is not here; shared memory of its own takes its place: 32768 of 32768 bytes are not in the core; they read as zeros\n`,
		);
		expect(readFileSync(room.path(`/proc/${pid}/maps`), "latin1")).toMatch(/ rw-s .* \/dev\/zero \(deleted\)$/m);
		const at = Number(longAt(room, pid, program.at("shown")));
		expect(bytesAt(room, pid, at, 4096).every((byte) => byte === 0)).toBe(true);
		expect(longAt(room, pid, program.at("total"))).toBe(4711n);
	});

	it("a core that was cut short: on request, without what is missing", () => {
		const { core, pid } = dead("leaderless");
		const whole = statSync(core).size;
		// of the two stacks the leader's lies higher
		truncateSync(core, whole - 100_000);
		const refused = raise(core);
		expect(refused.status).toBe(3);
		expect(refused.stderr).toContain("or raise it without what is missing (raise --truncated) [ERR_CORE_TRUNCATED]");
		const { status, stdout, stderr } = raise("--json", "--truncated", core);
		expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
		expect(JSON.parse(stdout).findings).toContainEqual({
			...{ weight: "loss", code: "contents-lost", subject: core },
			text: expect.stringMatching(
				/^was cut short: \d+ bytes of \d+ mappings? from 0x\w+ on are missing; they read as zeros$/,
			),
		});
		const [tid = 0] = tidsOf(room, pid).filter((id) => id !== pid);
		expect(longAt(room, pid, program.at("total"), tid)).toBe(4712n);
		truncateSync(core, 2000);
		expect(raise("--truncated", core).stderr).toContain("inside the notes");
	});

	it.each(["wild-sp", "kernel-sp", "low-sp"])(
		"a core that was cut short, and a stack pointer that leads nowhere (%s)",
		(how) => {
			const { core, pid } = dead(how);
			truncateSync(core, statSync(core).size - 40_000);
			expect(raise("-q", "--truncated", core)).toEqual(well);
			expect(longAt(room, pid, program.at("total"))).toBe(4711n);
		},
	);

	it("an auxiliary vector that CRIU's coredump tool garbled: it is on the stack too", () => {
		const { core, pid } = dead("count");
		const vector = garbleAuxv(core);
		expect(raise("-q", core)).toEqual(well);
		expect(readFileSync(room.path(`/proc/${pid}/auxv`)).subarray(0, vector.length)).toEqual(vector);
		expect(known(pid)).toBe(4711n + 499_500n);
	});

	it("threads whose thread pointers are not in the core, as in qemu-user's", () => {
		const { core, pid } = dead("side-by-side");
		const bases = (text: string): string[] =>
			[...text.matchAll(/^\$\d+ = (0x\w+)$/gm)].map(([, base = ""]) => base).sort();
		const theirs = bases(inCore(room, program, core, "thread apply all -q print/x $fs_base"));
		expect(new Set(theirs).size).toBe(3);
		pokeRegister(core, "fs_base", 0n, "all");
		const { stdout } = raise("-v", core);
		expect(stdout.match(/^caution thread \d+: its thread pointer \(fs_base\) is not in the core; 0x/gm)).toHaveLength(
			3,
		);
		expect(bases(askGdb(room, pid, "thread apply all -q print/x $fs_base"))).toEqual(theirs);
	});

	it("guards of stacks that are marks within them, where the kernel has such marks", () => {
		const { core, pid, place } = dead("guarded");
		expect(raise("-q", core)).toEqual(well);
		const at = Number(longAt(room, pid, program.at("shown")));
		// 0 where the kernel knows no such mark
		if (at === 0) return;
		expect(() => bytesAt(room, pid, at, 1)).toThrow("EIO");
		expect(bytesAt(room, pid, at + 4096, 1)).toEqual(Buffer.alloc(1));
		// a donor changes nothing about it
		const images = join(place, "images");
		expect(necromancer("dump", "-q", "-t", `${pid}`, "-i", images)).toEqual(well);
		expect(raise("-q", "-i", images, core)).toEqual(well);
		expect(() => bytesAt(room, pid, at, 1)).toThrow("EIO");
	});

	it("zeros of a core that was copied with them make no pages, but are zeros over a file", () => {
		const { core, pid, place } = dead("spread");
		const copy = join(place, "copy");
		room.run(["cp", "--sparse=never", core, copy]);
		expect(statSync(copy).blocks * 512).toBeGreaterThan(256 << 20);
		expect(raise("-q", copy)).toEqual(well);
		const resident = /^VmRSS:\s+(\d+) kB$/m.exec(statusOf(room, pid))?.[1];
		expect(Number(resident)).toBeLessThan(20 << 10);
		const at = Number(longAt(room, pid, program.at("shown")));
		const bytes = Buffer.from(bytesAt(room, pid, at, 64 * 4096));
		expect(bytes.equals(Buffer.concat([Buffer.alloc(32 * 4096), Buffer.alloc(32 * 4096, "f")]))).toBe(true);
		rmSync(copy);
	});
});

describe.skipIf(!able)(`a process without its first thread${needs}`, () => {
	it("is shown to a debugger by another: gdb attaches to no zombie", () => {
		const { core, pid } = dead("leaderless");
		const { stdout } = raise(core);
		const [tid = 0] = tidsOf(room, pid).filter((id) => id !== pid);
		expect(stdout).toContain(`\n  gdb -p ${tid} -iex `);
		expect(askGdb(room, tid, "info threads")).toContain(`(LWP ${tid})`);
	});

	it.each([[[]], [["--no-ptrace"]], [["--fresh-ids"]]])("comes up as it was, and goes on %j", async (options) => {
		const { core } = dead("leaderless");
		const { status, stdout, stderr } = raise("--json", ...options, core);
		expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
		const { pid } = JSON.parse(stdout);
		// untraced it has to stop before its leader can end
		expect(statusOf(room, pid)).toMatch(options.includes("--no-ptrace") ? /^State:\tT/m : /^State:\tZ/m);
		const [tid = 0] = tidsOf(room, pid).filter((id) => id !== pid);
		expect(statusOf(room, pid, tid)).toMatch(/^State:\tT/m);
		expect(longAt(room, pid, program.at("total"), tid)).toBe(4712n);
		room.run(["kill", "-CONT", `${pid}`]);
		expect(await soon(() => longAt(room, pid, program.at("total"), tid) > 4715n)).toBe(true);
		expect(statusOf(room, pid)).toMatch(/^State:\tZ/m);
		rmSync(dirname(core), { recursive: true });
	});
});
