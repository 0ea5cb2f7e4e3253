import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline/promises";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import type { Agent } from "../../src/agent/agent.ts";
import { label } from "../../src/agent/batch.ts";
import { startAgent } from "../../src/agent/start-agent.ts";
import { syscallNumber } from "../../src/arch/x86-64/syscalls.ts";
import { address, plus } from "../../src/bytes/address.ts";
import { PTRACE, PTRACE_EVENT_STOP } from "../../src/linux/ptrace.ts";
import { SIGKILL, SIGSTOP } from "../../src/linux/signal.ts";
import { WAIT, type WaitStatus, waitStatus } from "../../src/linux/wait.ts";
import { readSyscall } from "../../src/proc/tasks.ts";
import { detachAll } from "../../src/trace/seize-all.ts";
import { soon } from "../support/lives/living.ts";
import { hasGcc } from "../support/tools.ts";

// One batch of the agent passes signals on to a traced process for as long as nothing else happens to it. It cannot ask us: while the
// signals come, we wait in execFileSync(), and nothing else of ours runs.

const able = hasGcc();
const hole = { start: address(0x2000_0000_0000n), end: address(0x2000_0020_0000n) };

/** More than are kept at once for a thread that does not take them as they come. */
const COUNT = 4000;
/** SIGTERM kills by its default action: it has to be passed on like the others. */
const SIGTERM = 15;

const directory = mkdtempSync(join(tmpdir(), "necromancer-keeper-"));
const program = join(directory, "storm");
beforeAll(() => {
	if (!able) return;
	const source = resolve(import.meta.dirname, "../support/lives/storm.c");
	execFileSync("gcc", ["-w", "-O1", "-pthread", "-o", program, source]);
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const agents: Agent[] = [];
const children: ChildProcess[] = [];
afterEach(async () => {
	for (const child of children.splice(0)) child.kill("SIGKILL");
	for (const agent of agents.splice(0)) await agent.close();
});

interface Victim {
	readonly child: ChildProcess;
	/** The leader first. */
	readonly tids: readonly number[];
	/** What it says next. */
	readonly line: () => Promise<string>;
	readonly exited: Promise<unknown>;
}

async function victim(): Promise<Victim> {
	const child = spawn(program, ["victim", String(COUNT)], { stdio: ["ignore", "pipe", "inherit"] });
	children.push(child);
	const exited = once(child, "exit");
	const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
	const line = async (): Promise<string> => String((await lines.next()).value);
	return { child, tids: (await line()).split(" ").map(Number), line, exited };
}

/** Sends the numbered signals; with `last` that one half way, and returns when the process is gone. */
const send = (tids: readonly number[], last = 0): void =>
	void execFileSync(program, ["send", COUNT, last, ...tids].map(String), { timeout: 60_000, killSignal: "SIGKILL" });

async function keeper({ tids }: Victim): Promise<{
	/** Passes on what comes to any thread, until one stops otherwise, or ends. */
	readonly keep: () => Promise<{ readonly tid: number; readonly what: WaitStatus }>;
	readonly agent: Agent;
}> {
	const agent = await startAgent(hole, { streams: "ignore" });
	agents.push(agent);
	for (const tid of tids) expect(await agent.call("ptrace", PTRACE.SEIZE, tid, 0, 0)).toBe(0n);
	const batch = agent.batch();
	const who = batch.space(8);
	const status = batch.space(16);
	/** The second byte, and zeros above it where the stop is for a signal. */
	const signal = { at: plus(status.at, 1n), size: 8 };
	const [pass, wait, known, out] = [label("pass"), label("wait"), label("known"), label("out")];
	batch.jump(wait);
	batch.mark(pass);
	batch.call("ptrace", PTRACE.CONT, { valueOf: who }, 0, { valueOf: signal });
	batch.mark(wait);
	batch.callInto(who, "wait4", -1, status, WAIT.ALL, 0);
	batch.branch({ valueOf: who }, 1n << 63n, 0, known);
	batch.jump(out);
	batch.mark(known);
	// stopped, at no event of ptrace: whatever the signal is
	batch.branch({ valueOf: status }, 0xffff_00ff, 0x7f, pass);
	batch.mark(out);
	const keep = async () => {
		const done = await agent.perform(batch);
		return { tid: Number(done.result(who)), what: waitStatus(done.bytes(status).readUInt32LE()) };
	};
	return { keep, agent };
}

/** Until the agent sleeps in wait4(2): from there on it has all that it needs of us. */
const waiting = async ({ pid }: Agent): Promise<void> =>
	expect(await soon(() => readSyscall({ pid, tid: pid }) === syscallNumber("wait4"))).toBe(true);

describe.skipIf(!able)(`a keeper${able ? "" : " (needs gcc)"}`, () => {
	it(`passes ${COUNT} signals on by itself, each once and as it was sent, and stays until a thread stops otherwise`, async () => {
		const kept = await victim();
		const { agent, keep } = await keeper(kept);
		const first = keep();
		await waiting(agent);
		// returns when the process has all of them; it stops itself next
		send(kept.tids);
		// with one thread the others stop, each at an event of its own: the same batch once more
		const stops = [await first];
		while (stops.length < kept.tids.length) stops.push(await keep());
		expect(stops.map(({ tid }) => tid).sort()).toEqual([...kept.tids].sort());
		expect(stops.map(({ what }) => what)).toEqual(
			kept.tids.map(() => ({ kind: "event", event: PTRACE_EVENT_STOP, signal: SIGSTOP })),
		);
		await detachAll(agent, [kept]);
		kept.child.kill("SIGCONT");
		expect(await kept.line()).toBe(`${COUNT} once, ${COUNT} in all, 0 strange`);
		expect(await kept.exited).toEqual([0, null]);
	});

	it.each([
		["SIGTERM, which it has passed on", SIGTERM],
		["SIGKILL, which nobody passes on", SIGKILL],
	])("ends when the process is killed in the midst of them by %s", async (_, fatal) => {
		const kept = await victim();
		const { agent, keep } = await keeper(kept);
		let next = keep();
		await waiting(agent);
		send(kept.tids, fatal);
		const ended = new Map<number, WaitStatus>();
		for (; ended.size < kept.tids.length; next = keep()) {
			const { tid, what } = await next;
			ended.set(tid, what);
		}
		expect(ended).toEqual(new Map(kept.tids.map((tid) => [tid, { kind: "killed", signal: fatal }])));
		// whom should it wait for?
		expect((await next).tid).toBe(-10);
	});
});
