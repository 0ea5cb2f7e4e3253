import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { describe, expect, it } from "vitest";
import { findGdb, gdbArguments } from "../../../../src/cli/gdb.ts";
import {
	checkedJson,
	checkedText,
	keptText,
	type LeftAs,
	raisedJson,
	raisedText,
} from "../../../../src/cli/raise/text.ts";
import { openTerminal } from "../../../../src/cli/terminal.ts";
import { caution, loss, note } from "../../../../src/finding.ts";
import type { PartialTask } from "../../../../src/forest/partial-task.ts";
import type { Raised } from "../../../../src/raise/raise.ts";
import type { IdChoice } from "../../../../src/restore/ids.ts";
import { smallTask, smallThread } from "../../../support/builders/small-task.ts";
import { refusal } from "../../../support/refusal.ts";
import { scratch } from "../../../support/scratch.ts";

const silent = { write: () => {} };
const { paint } = openTerminal({ stdout: silent, stderr: silent, env: {} });
const { paint: coloured } = openTerminal({ stdout: silent, stderr: silent, env: { FORCE_COLOR: "1", NO_COLOR: "1" } });
const { paint: plain } = openTerminal({ stdout: { ...silent, isTTY: true }, stderr: silent, env: { NO_COLOR: "1" } });

const FAULT: PartialTask["death"] = { tid: 501, signal: 11, words: "SIGSEGV at 0x0", synchronous: true };
const KILLED: PartialTask["death"] = {
	tid: 500,
	signal: 15,
	words: "SIGTERM sent by pid 1 (uid 0)",
	synchronous: false,
};
const FINDINGS = [caution("session", "process 500", "c"), note("default", "n", "n"), loss("masks-lost", "l", "l")];

const raised = (
	death: PartialTask["death"],
	{ pid = 500, ids = "same" as IdChoice, threads = 1, findings = FINDINGS.slice(0, 2) } = {},
): Raised => ({
	dead: { death } as PartialTask,
	task: smallTask({ threads: Array.from({ length: threads }, (_, i) => smallThread({ tid: 500 + i })) }),
	findings,
	restored: {
		...{ pid, pids: [pid], ids, findings: [] },
		stop: async () => undefined,
		wait: () => Promise.reject(new Error("not here")),
		livingThread: pid,
		earlyEnd: () => Promise.resolve(undefined),
		kill: () => Promise.resolve(),
		release: () => Promise.resolve(),
	},
});
const text = (left: LeftAs, it: Raised): string => raisedText({ raised: it, left }, paint);

describe("what raise says", () => {
	it("of a process that died of its own fault", () => {
		expect(text("stopped", raised(FAULT, { threads: 2, findings: FINDINGS }))).toBe(
			`raised small: process 500, 2 threads; memory is whole; lost: threads; 1 caution
  it had died of SIGSEGV at 0x0, taken by thread 501; it is stopped
  going on, it executes the instruction that killed it again: change what made it fail first (gdb: set, return, jump)
  gdb -p 500 -iex "handle SIGSTOP nostop noprint nopass"    look into it, call its functions
  kill -CONT 500                                            let it go on
  kill -KILL 500                                            let it rest
`,
		);
	});

	it("of one that was killed, and goes on", () => {
		expect(text("running", raised(KILLED, { findings: [] }))).toBe(
			`raised small: process 500, 1 thread; nothing lost
  it had died of SIGTERM sent by pid 1 (uid 0), taken by thread 500; it goes on
`,
		);
	});

	it("of one that gdb takes over", () => {
		expect(text("to gdb", raised(FAULT, { pid: 7, ids: "namespace" }))).toBe(
			`raised small: process 7 (500 in its pid namespace), 1 thread; nothing lost, 1 caution
  it had died of SIGSEGV at 0x0, taken by thread 501; it is stopped, for gdb
  going on, it executes the instruction that killed it again: change what made it fail first (gdb: set, return, jump)
`,
		);
	});

	it("of one that never died, with new ids", () => {
		const alive = { tid: 500, signal: 0, words: "it did not die: gdb copied it while it lived", synchronous: false };
		expect(text("running", raised(alive, { pid: 7, ids: "fresh" }))).toBe(
			`raised small: process 7 (it was 500), 1 thread; nothing lost, 1 caution
  it did not die: gdb copied it while it lived; it goes on
`,
		);
	});

	it("tells gdb the program of one with new ids, unless its name is odd", () => {
		const it = raised(KILLED, { pid: 7, ids: "fresh" });
		expect(text("stopped", it)).toContain(
			'\n  gdb /bin/small -p 7 -iex "handle SIGSTOP nostop noprint nopass"    look',
		);
		const odd = { ...it, task: { ...it.task, memory: { ...it.task.memory, executable: "/bin/$(reboot)" } } };
		expect(text("stopped", odd)).toContain('\n  gdb -p 7 -iex "handle');
	});

	it("of one that was not made", () => {
		expect(checkedText(raised(FAULT), paint)).toBe(
			`check: small, process 500, 1 thread; nothing lost, 1 caution
  it had died of SIGSEGV at 0x0, taken by thread 501; nothing was made
`,
		);
	});

	it("in colour, where that is wanted", () => {
		expect(raisedText({ raised: raised(KILLED), left: "running" }, coloured)).toContain(
			"\u001b[32mraised\u001b[39m small",
		);
		expect(raisedText({ raised: raised(KILLED), left: "stopped" }, plain)).not.toContain("\u001b");
	});

	it("lets no name steer the terminal", () => {
		const it = raised({ ...FAULT, words: "\u001b[2J" });
		const named = { ...it, task: { ...it.task, identity: { ...it.task.identity, comm: "\u001b[31m\n" } } };
		expect(text("stopped", named).match(/[^\n\x20-\x7e]/)).toBeNull();
	});

	it("as JSON", () => {
		const document = {
			...{ schema: 1, kind: "raise", comm: "small", ids: { pid: 500, threads: [500] } },
			death: FAULT,
			findings: FINDINGS.slice(0, 2),
		};
		const json = (left: LeftAs): unknown =>
			JSON.parse(raisedJson({ raised: raised(FAULT, { pid: 7, ids: "fresh" }), left }));
		expect(json("stopped")).toEqual({ ...document, pid: 7, mode: "fresh", stopped: true });
		expect(json("running")).toEqual({ ...document, pid: 7, mode: "fresh", stopped: false });
		expect(JSON.parse(checkedJson(raised(FAULT)))).toEqual({ ...document, pid: null });
	});

	it.each([
		["T", "process 7 is stopped: kill -CONT 7 lets it go on\n"],
		["S", "process 7 goes on\n"],
		["Z", "process 7 has ended\n"],
		[undefined, "process 7 has ended\n"],
	])("of one that gdb has left in state %s", (state, said) => {
		expect(keptText(7, state)).toBe(said);
	});
});

describe("gdb", () => {
	it("is the first program of that name in PATH", () => {
		const [a, b, c] = ["a", "b", "c"].map((name) => join(scratch(), name));
		for (const directory of [a, b, c]) mkdirSync(directory ?? "");
		mkdirSync(join(a ?? "", "gdb"));
		writeFileSync(join(b ?? "", "gdb"), "", { mode: 0o644 });
		for (const [directory, mode] of [
			[b, 0o644],
			[c, 0o755],
		] as const) {
			writeFileSync(join(directory ?? "", "gdb"), "");
			chmodSync(join(directory ?? "", "gdb"), mode);
		}
		expect(findGdb(["", a, "/nowhere", b, c].join(delimiter))).toBe(join(c ?? "", "gdb"));
		expect(refusal(() => findGdb([a, b].join(delimiter)))).toBe(
			"ERR_HOST gdb: is in no directory of PATH, expected it for --gdb; install gdb, or leave --gdb out and attach a debugger yourself",
		);
		expect(refusal(() => findGdb(undefined))).toMatch(/^ERR_HOST gdb: /);
	});

	it("is told the process, the program, and what the user says last", () => {
		const target = { pid: 7, executable: "/bin/x" };
		const forget = ["-iex", "handle SIGSTOP nostop noprint nopass"];
		expect(gdbArguments(target, ["-batch", "-ex", "bt"])).toEqual([
			...forget,
			"/bin/x",
			"-p",
			"7",
			"-batch",
			"-ex",
			"bt",
		]);
		expect(gdbArguments({ ...target, sysroot: "/tree" }, [])).toEqual([
			...forget,
			...["-iex", "set sysroot /tree", "/bin/x", "-p", "7"],
		]);
	});
});
