import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { compileDeaths, longAt, type Program, statusOf, withoutProcess } from "../support/lives/deaths.ts";
import { deathsRoom } from "../support/lives/deaths-room.ts";
import { soon } from "../support/lives/living.ts";
import type { Ran, Room } from "../support/lives/room.ts";
import { present } from "../support/present.ts";
import { hasTool } from "../support/tools.ts";

// What a core does not hold, a donor had not, or nobody can know is told, and counted as what it is.

const hasCxx = hasTool("g++");
const hasQemu = hasTool("qemu-x86_64");
let room: Room;
let program: Program;
const { able, needs, directory, necromancer, raise, dead, clear } = deathsRoom(
	{ first: 80_001, source: "told.c" },
	(there) => {
		({ room, program } = there);
	},
);
const well = { status: 0, stdout: "", stderr: "" };

interface Told {
	readonly weight: string;
	readonly code: string;
	readonly subject: string;
	readonly text: string;
}
const toldBy = ({ stdout }: Ran): readonly Told[] => JSON.parse(stdout).findings;
/** Its line in what a verb says to people. */
const lines = ({ stdout, stderr }: Ran): string[] => `${stdout}${stderr}`.split("\n");

/** The images of one that lives, without its pages. */
function donorOf(how: string, ...options: readonly string[]): { readonly images: string; readonly said: Ran } {
	const script = '"$1" "$2" </dev/null >/dev/null 2>&1 & echo $!; sleep 0.2';
	const { stdout } = room.run(["sh", "-c", script, "sh", program.binary, how]);
	const images = mkdtempSync(join(directory, "donor-"));
	const said = necromancer("dump", "-t", stdout.trim(), ...options, "-i", images);
	expect(said.status).toBe(0);
	return { images, said };
}

describe.skipIf(!able)(`of a core alone${needs}`, () => {
	it("the summary counts files, handlers, timers and names as lost", () => {
		const { core, pid } = dead("many");
		expect(lines(raise("--check", core))).toContain(
			`check: told, process ${pid}, 2 threads; memory and threads are whole; lost: open files, signal handlers, timers, names of threads; 3 cautions`,
		);
	});

	it("a signal may have waited for the process, which every thread blocked", () => {
		const { core, pid } = dead("waiting");
		const raised = raise("--json", core);
		expect(toldBy(raised)).toContainEqual({
			...{ weight: "caution", code: "pending-lost", subject: "the whole process" },
			text: "every thread blocks SIGUSR1: whether one waited for the process is not in a core; none does now",
		});
		expect(statusOf(room, pid)).toMatch(/^SigPnd:\t0{16}\nShdPnd:\t0{16}\nSigBlk:\t0{13}200$/m);
	});

	it("which process it was is told by its first thread, not by the one that crashed", () => {
		const { core, pid } = dead("in-thread");
		withoutProcess(core);
		const raised = raise("--json", core);
		expect(toldBy(raised)).toContainEqual(
			expect.objectContaining({ weight: "caution", code: "process-id", subject: `process ${pid}` }),
		);
		expect(JSON.parse(raised.stdout).pid).toBe(pid);
		expect(statusOf(room, pid)).toMatch(new RegExp(`^Tgid:\t${pid}$`, "m"));
	});

	it("a timer may be what a thread read of: the stand-in is a guess", () => {
		expect(toldBy(raise("--json", "--check", dead("timer").core))).toContainEqual(
			expect.objectContaining({
				...{ weight: "caution", code: "descriptor-deduced", subject: "descriptor 3" },
				text: expect.stringMatching(/; a timer or a socket would have been another$/),
			}),
		);
	});

	it("nothing wakes a thread that waits for what nobody knows: a loss", () => {
		expect(toldBy(raise("--json", "--check", dead("forever").core))).toContainEqual(
			expect.objectContaining({
				...{ weight: "loss", code: "descriptor-deduced", subject: "descriptor 3" },
				text: expect.stringMatching(/what it watched is not known, and no timeout ends the wait: it waits for ever$/),
			}),
		);
	});
});

describe.skipIf(!able)(`with a donor${needs}`, () => {
	it("what it had lost at its dump is told by all who use it", async () => {
		const { images, said } = donorOf("living", "--missing-fds", "null");
		const lost = lines(said).filter((line) => line.startsWith("loss    descriptor "));
		expect(lost).toHaveLength(2);
		const again = (who: string): string[] =>
			lost.map((line) => line.replace(/^(loss {4}descriptor \d+): /, `$1: ${who} lost it at its dump: `));
		const { core } = dead("waiting");
		expect(lines(raise("--check", "-i", images, core))).toEqual(expect.arrayContaining(again("the donor")));
		const patched = join(directory, "patched");
		expect(lines(necromancer("-c", core, "-i", images, "-o", patched))).toEqual(
			expect.arrayContaining(again("the donor")),
		);
		await clear();
		expect(lines(necromancer("restore", "-d", "-s", "-i", images))).toEqual(
			expect.arrayContaining(again("the process")),
		);
		await clear();
		expect(lines(necromancer("restore", "-d", "-s", "--trust", "-i", patched))).toEqual(
			expect.arrayContaining(again("the process")),
		);
	});

	it("a namespace that it had to itself is told, and left to who restores what is patched", async () => {
		const { images } = donorOf("living", "--no-pages", "--missing-fds", "null");
		await clear();
		// net_ns_id: another than the dumper's, as CRIU writes it
		const ids = join(images, present(readdirSync(images).find((name) => name.startsWith("ids-"))));
		const bytes = readFileSync(ids);
		bytes[bytes.indexOf(Buffer.from([6 << 3, 2]), 12) + 1] = 99;
		writeFileSync(ids, bytes);
		const { core } = dead("waiting");
		expect(toldBy(raise("--json", "-i", images, core))).toContainEqual({
			...{ weight: "loss", code: "confinement", subject: expect.stringMatching(/^donor, process \d+$/) },
			text: "had its network namespace; what it is lent to has ours when it comes back",
		});
		await clear();
		const patched = join(directory, "confined");
		expect(necromancer("-q", "-c", core, "-i", images, "-o", patched)).toEqual(well);
		const restore = ["restore", "--trust", "-d", "-s", "-i", patched];
		expect(necromancer(...restore)).toMatchObject({
			...{ status: 6, stderr: expect.stringContaining("or go on without: --allow-lost net [ERR_UNSUPPORTED]") },
		});
		expect(lines(necromancer(...restore, "--allow-lost", "net"))).toContainEqual(
			expect.stringMatching(/^loss {4}process \d+: had its network namespace; it has ours when it comes back$/),
		);
	});

	it("a signal that comes before it is asleep again wakes it all the same, as sigsuspend(2) promises", async () => {
		const { images } = donorOf("suspended-living", "--no-pages");
		await clear();
		const { core, pid } = dead("suspended");
		expect(toldBy(raise("--json", "-i", images, core))).toContainEqual({
			...{ weight: "caution", code: "masks-lost", subject: `thread ${pid}` },
			text: "slept in rt_sigsuspend, and the core has its signal mask for that sleep alone; outside of it, it is taken to block what the process has handlers for: SIGUSR1",
		});
		room.run(["kill", "-USR1", `${pid}`]);
		room.run(["kill", "-CONT", `${pid}`]);
		expect(await soon(() => longAt(room, pid, program.at("total")) === 1n)).toBe(true);
		expect(await soon(() => longAt(room, pid, program.at("others")) === 1n)).toBe(true);
	});

	it("the signal stack that the core proves is kept", async () => {
		const { images } = donorOf("living", "--no-pages", "--missing-fds", "null");
		await clear();
		const { core, pid } = dead("on-stack");
		expect(raise("-q", "--run", "-i", images, core)).toEqual(well);
		expect(await soon(() => longAt(room, pid, program.at("told_stack")) !== 0n)).toBe(true);
		expect(longAt(room, pid, program.at("told_stack"))).toBe(BigInt(program.at("spare")));
		// SS_ONSTACK
		expect(longAt(room, pid, program.at("told_flags"))).toBe(1n);
	});
});

describe.skipIf(!able || !hasCxx)(`a handler in C++ that told of the crash${hasCxx ? needs : " (needs g++)"}`, () => {
	let tells: Program;
	beforeAll(() => {
		tells = compileDeaths(directory, "tells.cc");
	});
	const again = "when it goes on it executes the same instruction, and dies again unless that is changed";

	it("and, as glog's, had returned when the signal came: it stands where it failed, which is said", () => {
		const { core, pid } = dead("glog", tells);
		expect(toldBy(raise("--json", "--check", core))).toContainEqual({
			...{ weight: "caution", code: "fatal-signal", subject: `thread ${pid}` },
			text: `died of SIGSEGV sent by pid ${pid} (uid 0); ${again}`,
		});
		expect(raise("--run", core)).toMatchObject({ status: 7, stderr: expect.stringContaining("ERR_DIED_AGAIN") });
	});

	it("and, as Abseil's, died in it: --leave-handlers takes it back there", () => {
		const { core, pid } = dead("absl", tells);
		expect(toldBy(raise("--json", core))).toContainEqual(
			expect.objectContaining({ code: "fatal-signal", text: expect.stringContaining("it had raised that itself") }),
		);
		room.run(["kill", "-KILL", `${pid}`]);
		const { core: other, pid: left } = dead("absl", tells);
		const says = toldBy(raise("--json", "--leave-handlers", other));
		expect(says).toContainEqual(
			expect.objectContaining({ weight: "note", code: "handler-left", subject: `thread ${left}` }),
		);
		expect(says).toContainEqual(
			expect.objectContaining({ code: "fatal-signal", text: expect.stringContaining(again) }),
		);
		const { stdout } = room.run([
			...["gdb", "-q", "-batch", "-nx", "-iex", "set debuginfod enabled off", "-p", `${left}`],
			...["-ex", "bt", "-ex", "print total"],
		]);
		expect(stdout).toMatch(/^#0 +main \(/m);
		expect(stdout).toContain("$1 = 4711\n");
	});
});

/** Each sleeps for ever; made of a source of its name, which `make` compiles where it is. */
const runtimes = [
	{
		...{ name: "Go's runtime", tools: [["go", "version"]], source: "sleep.go" },
		text: 'package main\n\nimport "time"\n\nfunc main() {\n\tfor {\n\t\ttime.Sleep(time.Second)\n\t}\n}\n',
		make: ["go", "build", "-o", "sleep", "sleep.go"],
		run: ["./sleep"],
	},
	{
		name: "the Java virtual machine",
		...{ tools: [["javac", "-version"]], source: "Sleep.java" },
		text: "class Sleep { public static void main(String[] a) throws Exception { for (;;) Thread.sleep(1000); } }\n",
		make: ["javac", "Sleep.java"],
		run: ["java", "-Xmx32m", "-XX:+UseSerialGC", "Sleep"],
	},
	{
		...{ name: "Node", tools: [], source: "sleep.js", text: "setInterval(() => {}, 1000);\n", make: ["true"] },
		run: [process.execPath, "sleep.js"],
	},
] as const;

describe.skipIf(!able)(`a runtime that cannot live without its handlers${needs}`, () => {
	for (const { name, tools, source, text, make, run } of runtimes) {
		const there = tools.every(([tool = "", ...probe]) => hasTool(tool, probe));
		const lacks = there ? "" : ` (needs ${tools.map(([tool]) => tool).join()})`;
		it.skipIf(!there)(`${name}: a loss of its own, with the remedy${lacks}`, () => {
			const place = join(directory, source.replace(".", "-"));
			mkdirSync(place);
			writeFileSync(join(place, source), text);
			const [compiler = "", ...args] = make;
			execFileSync(compiler, args, { cwd: place });
			// it is asleep when it has taken no time of the processor for a while
			const script = `cd "$1"; shift; ulimit -c unlimited; GOTRACEBACK=crash "$@" >/dev/null 2>&1 &
				while sleep 0.3; now=$(cut -d" " -f14,15 /proc/$!/stat); [ "$now" != "$last" ]; do last=$now; done
				kill -ABRT $!; wait $!; mv "$0"/core* "$0"/dead; :`;
			room.run(["sh", "-c", script, place, place, ...run]);
			expect(toldBy(raise("--json", "--check", join(place, "dead")))).toContainEqual(
				expect.objectContaining({
					...{ weight: "loss", code: "runtime-handlers", subject: name },
					text: expect.stringMatching(/; a donor \(-i\) brings its handlers$/),
				}),
			);
		});
	}
});

describe.skipIf(!able)(`a backend of many${needs}`, () => {
	it("whose shared memory has no file any more, copied by gdb: refused with the way to go on, and then a loss", async () => {
		const shared = join(directory, "segment");
		const script = 'cd "$1"; "$2" backend "$3" </dev/null >/dev/null 2>&1 & sleep 0.3; cat "$1/backend.pid"';
		const pid = Number(room.run(["sh", "-c", script, "sh", directory, program.binary, shared]).stdout);
		expect(pid).toBeGreaterThan(1);
		room.run(["gcore", "-o", join(directory, "backend"), `${pid}`]);
		await clear();
		rmSync(shared);
		const core = join(directory, `backend.${pid}`);
		const refused = raise("--run", core);
		expect(refused).toMatchObject({ status: 5, stdout: "" });
		expect(refused.stderr).toMatch(
			/segment: is not here, expected it: 32768 of 32768 bytes .*--missing-files zeros \[ERR_BINARY_MISSING\]\n$/,
		);
		const raised = raise("--json", "--run", "--missing-files", "zeros", core);
		expect(toldBy(raised)).toContainEqual(
			expect.objectContaining({ weight: "loss", code: "contents-lost", text: expect.stringContaining("32768") }),
		);
		expect(await soon(() => longAt(room, pid, program.at("total")) === 0n)).toBe(true);
	});
});

describe.skipIf(!able || !hasQemu)(`a core of qemu-user${hasQemu ? needs : " (needs qemu-user)"}`, () => {
	it("of several threads: all go on", async () => {
		const place = mkdtempSync(join(directory, "qemu-"));
		room.run([
			...["sh", "-c", 'cd "$1"; ulimit -c unlimited; qemu-x86_64 "$2" crowd; mv qemu*.core core; rm -f core.*; :'],
			...["sh", place, program.binary],
		]);
		const raised = raise("--json", "--run", join(place, "core"));
		expect(raised).toMatchObject({ status: 0, stderr: "" });
		const { pid } = JSON.parse(raised.stdout);
		const counters = [0, 8, 16].map((i) => program.at("others") + i);
		const before = counters.map((at) => longAt(room, pid, at));
		expect(await soon(() => counters.every((at, i) => longAt(room, pid, at) > (before[i] ?? 0n)))).toBe(true);
		expect(longAt(room, pid, program.at("total"))).toBeGreaterThan(0n);
		expect(readFileSync(room.path(`/proc/${pid}/status`), "latin1")).toMatch(/^Threads:\t4$/m);
	});
});
