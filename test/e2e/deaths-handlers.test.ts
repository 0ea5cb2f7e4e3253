import { readFileSync, readlinkSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { askGdb, longAt, type Program, registersIn, statusOf } from "../support/lives/deaths.ts";
import { deathsRoom } from "../support/lives/deaths-room.ts";
import { soon } from "../support/lives/living.ts";
import { linesOf, type Room } from "../support/lives/room.ts";
import { hasTool } from "../support/tools.ts";

// Deaths that a handler told of, deaths under another emulator, and what a donor lends to the dead.

const hasPython = hasTool("python3");
const hasQemu = hasTool("qemu-x86_64");
let room: Room;
let program: Program;
const { able, needs, directory, necromancer, raise, dead } = deathsRoom({ first: 40_001 }, (there) => {
	({ room, program } = there);
});
const well = { status: 0, stdout: "", stderr: "" };

describe.skipIf(!able)(`--leave-handlers${needs}`, () => {
	it("puts a thread back where the signal came: registers, vectors, mask and signal stack", () => {
		const { core, pid } = dead("handler");
		const { status, stdout } = raise("-v", "--leave-handlers", core);
		expect(status).toBe(0);
		const at = program.at("faulting").toString(16);
		expect(stdout).toMatch(
			new RegExp(`^note    thread ${pid}: taken out of a handler \\(frame at 0x\\w+\\), back to 0x${at}$`, "m"),
		);
		expect(stdout).toMatch(/when it goes on it executes the same instruction/);
		const says = askGdb(room, pid, "info registers", "print/x $xmm7.v2_int64[0]");
		const registers = registersIn(says);
		expect([registers.get("rip"), registers.get("rbx"), registers.get("r12")]).toEqual([
			...[`0x${at}`, "0xdead0000", "0x1122334455667788"],
		]);
		expect(says).toContain("= 0x1122334455667788\n");
		// in the handler SIGUSR1 was blocked
		expect(statusOf(room, pid)).toMatch(/^SigBlk:\t0{16}$/m);
	});

	it("without it, a thread stays in its handler", () => {
		const { core, pid } = dead("handler");
		expect(raise("-q", core)).toEqual(well);
		expect(statusOf(room, pid)).toMatch(/^SigBlk:\t0{13}200$/m);
		expect(registersIn(askGdb(room, pid, "info registers")).get("rip")).not.toBe(
			`0x${program.at("faulting").toString(16)}`,
		);
	});

	it("knows stacks that lie side by side, as Go's do, and leaves each thread its own frames", () => {
		const { core, pid } = dead("side-by-side");
		const { status, stdout } = raise("--json", "--leave-handlers", core);
		expect(status).toBe(0);
		const { findings, death } = JSON.parse(stdout);
		const left = findings.filter(({ code }: { code: string }) => code === "handler-left");
		expect(left.map(({ subject, text }: Record<string, string>) => [subject, text?.replace(/0x\w+/g, "0x")])).toEqual([
			[`thread ${death.tid}`, "taken out of a handler (frame at 0x), back to 0x"],
			[`thread ${death.tid}`, "taken out of a handler of SIGSEGV (frame at 0x), back to 0x"],
		]);
		const says = askGdb(room, pid, "thread apply all bt 1");
		for (const where of ["panicking", "__libc_pause"]) expect(says).toMatch(new RegExp(`^#0  .*${where} \\(`, "m"));
	});

	it("knows the call that a handler interrupted, and gives it what it waited on", async () => {
		const { core, pid } = dead("loop");
		const { status, stdout } = raise("--json", "--leave-handlers", "--run", core);
		expect(status).toBe(0);
		expect(JSON.parse(stdout).findings).toContainEqual(
			expect.objectContaining({ code: "descriptor-deduced", text: expect.stringMatching(/^an epoll instance /) }),
		);
		const before = longAt(room, pid, program.at("total"));
		expect(await soon(() => longAt(room, pid, program.at("total")) > before + 3n)).toBe(true);
	});

	it("without it, the call below the handler is known all the same", () => {
		const { core } = dead("loop-aborts");
		const { status, stdout } = raise("--json", "--check", core);
		expect(status).toBe(0);
		const { findings } = JSON.parse(stdout);
		expect(findings.filter(({ code }: { code: string }) => code === "descriptor-deduced")).toEqual([
			expect.objectContaining({
				text: expect.stringMatching(
					/^an epoll instance \(thread \d+ slept, when a handler was called, in epoll_wait on it\)/,
				),
			}),
		]);
	});

	it.skipIf(!hasPython)(`knows python's faulthandler${hasPython ? "" : " (needs python3)"}`, () => {
		const script = "import faulthandler, ctypes; faulthandler.enable(); ctypes.string_at(0)";
		const core = join(directory, "core");
		room.run([
			"sh",
			"-c",
			'cd "$1"; ulimit -c unlimited; python3 -c "$2"; mv core.* core 2>&-; :',
			"sh",
			directory,
			script,
		]);
		const { stdout } = raise("--json", "--check", "--leave-handlers", core);
		expect(JSON.parse(stdout).findings).toContainEqual(
			expect.objectContaining({ code: "handler-left", text: expect.stringMatching(/^taken out of a handler/) }),
		);
		rmSync(core);
	});
});

describe.skipIf(!able)(`going on${needs}`, () => {
	it("--run of what dies again at once says so, and fails", () => {
		const { core, pid } = dead("overflow");
		expect(raise("--run", core)).toEqual({
			...{ status: 7, stdout: "" },
			stderr: expect.stringMatching(
				new RegExp(
					`^necromancer: process ${pid}: was killed by SIGSEGV as soon as it went on, expected it to live; it had died of SIGSEGV at 0x\\w+ \\(.*\\); leave out --run, or give --gdb, and change what made it fail first \\[ERR_DIED_AGAIN\\]\n$`,
				),
			),
		});
		expect(room.pids()).toEqual([]);
		const counting = dead("count");
		expect(raise("-q", "--run", counting.core)).toEqual(well);
		expect(longAt(room, counting.pid, program.at("total"))).toBeGreaterThanOrEqual(4711n);
	});

	it("--check refuses what the deed would refuse", () => {
		const { core } = dead("count");
		const nowhere = raise("--check", "--fd", "5=/nowhere/log", core);
		expect([nowhere.status, nowhere.stderr]).toEqual([5, expect.stringContaining("/nowhere/log: is not here")]);
		const bytes = readFileSync(core);
		const head = Buffer.from([5, 0, 0, 0, 0x50, 1, 0, 0, 1, 0, 0, 0, 0x43, 0x4f, 0x52, 0x45, 0, 0, 0, 0]);
		bytes.writeBigUInt64LE(0x10n, bytes.indexOf(head) + head.length + 112 + 8 * 17);
		const spoilt = join(directory, "spoilt");
		writeFileSync(spoilt, bytes);
		for (const check of [[], ["--check"]])
			expect(raise(...check, spoilt)).toMatchObject({
				...{ status: 6, stdout: "" },
				stderr: expect.stringMatching(/cs is 0x10, expected 0x33 \[ERR_TASK_UNRUNNABLE\]\n$/),
			});
		rmSync(spoilt);
	});

	it("--check refuses more mappings than this host allows, as the deed does", () => {
		const { core } = dead("count");
		const few = join(directory, "max_map_count");
		const sysctl = "/proc/sys/vm/max_map_count";
		room.run(["sh", "-c", 'echo 10 >"$1"; mount --bind "$1" "$2"', "sh", few, sysctl]);
		try {
			for (const check of [[], ["--check"]])
				expect(raise(...check, core)).toMatchObject({
					...{ status: 6, stdout: "" },
					stderr: expect.stringMatching(
						/^necromancer: vm.max_map_count: is 10, expected at least the \d+ mappings that the process had; raise it: sysctl vm.max_map_count=128 \[ERR_HOST\]\n$/,
					),
				});
		} finally {
			room.run(["umount", sysctl]);
		}
	});

	it("--lazy says what it cannot map", () => {
		const { core, pid } = dead("count");
		expect(raise("-q", core)).toEqual(well);
		room.run(["gcore", "-o", join(directory, "gcore"), `${pid}`]);
		const { stdout } = raise("--check", "--lazy", join(directory, `gcore.${pid}`));
		expect(stdout).toMatch(
			/ \d+ bytes do not begin on a page of it \(gdb writes cores so\), and are read all the same/,
		);
	});
});

describe.skipIf(!able)(`a donor's files${needs}`, () => {
	it("a file that stood at its end goes on at today's; its own directory in /proc is its own", async () => {
		const log = join(directory, "log");
		writeFileSync(log, "begun\n");
		const script = '"$1" donor "$2" </dev/null >/dev/null 2>&1 & echo $!';
		const living = Number(room.run(["sh", "-c", script, "sh", program.binary, log]).stdout);
		await linesOf(log, 2);
		const images = join(directory, "donor");
		expect(necromancer("dump", "-q", "-t", `${living}`, "--no-pages", "-i", images)).toEqual(well);
		await linesOf(log, 2);
		room.run(["sh", "-c", 'echo grown since >>"$1"', "sh", log]);
		const { core, pid } = dead("donor-dead");
		const { status, stdout } = raise("--json", "--run", "-i", images, core);
		expect(status).toBe(0);
		expect(JSON.parse(stdout).findings).toContainEqual(
			expect.objectContaining({
				code: "file-offset",
				text: expect.stringMatching(/^the donor stood at its end \(\d+\); writes go on at its end/),
			}),
		);
		expect(readlinkSync(room.path(`/proc/${pid}/fd/4`))).toBe(`/proc/${pid}/status`);
		expect(readlinkSync(room.path(`/proc/${pid}/fd/5`))).toBe(`/proc/${pid}/task/${pid}/comm`);
		room.run(["kill", "-USR1", `${pid}`]);
		const lines = await linesOf(log, 4);
		expect(lines.slice(2)).toEqual(["grown since", `says ${pid}`]);
		// the same by way of images
		room.run(["kill", "-KILL", `${pid}`]);
		expect(await soon(() => !room.pids().includes(pid))).toBe(true);
		const patched = join(directory, "patched");
		expect(necromancer("-c", core, "-i", images, "-o", patched).stdout).toContain(
			`the images have its end of now, ${statSync(log).size}: `,
		);
		expect(necromancer("restore", "-v0", "-d", "-i", patched)).toEqual(well);
		expect(readlinkSync(room.path(`/proc/${pid}/fd/4`))).toBe(`/proc/${pid}/status`);
		expect(readlinkSync(room.path(`/proc/${pid}/fd/5`))).toBe(`/proc/${pid}/task/${pid}/comm`);
		room.run(["kill", "-USR1", `${pid}`]);
		expect(await linesOf(log, 5)).toEqual([...lines, `says ${pid}`]);
	});
});

describe.skipIf(!able || !hasQemu)(`a core of qemu-user${hasQemu ? needs : " (needs qemu-user)"}`, () => {
	it("comes up with the files that its dynamic linker knew, and goes on", async () => {
		const place = join(directory, "qemu");
		room.run([
			"sh",
			"-c",
			'mkdir "$1"; cd "$1"; ulimit -c unlimited; qemu-x86_64 "$2" count x; mv qemu*.core core; rm -f core.*; :',
			"sh",
			place,
			program.binary,
		]);
		const { status, stdout, stderr } = raise("--json", "--run", join(place, "core"));
		expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
		const { pid, findings } = JSON.parse(stdout);
		expect(findings).toContainEqual(expect.objectContaining({ weight: "caution", code: "files-linked" }));
		expect(readlinkSync(room.path(`/proc/${pid}/exe`))).toBe(program.binary);
		expect(readFileSync(room.path(`/proc/${pid}/maps`), "latin1")).toMatch(/ r-xp .*\/libc[.-]/);
		expect(await soon(() => longAt(room, pid, program.at("total")) > 4715n)).toBe(true);
	});
});
