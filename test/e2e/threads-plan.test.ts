import { readdirSync, readFileSync } from "node:fs";
import { afterEach, describe, expect, it } from "vitest";
import type { Agent } from "../../src/agent/agent.ts";
import { spawnTask } from "../../src/agent/spawn.ts";
import { startAgent } from "../../src/agent/start-agent.ts";
import { address } from "../../src/bytes/address.ts";
import type { Limit, Task } from "../../src/forest/task.ts";
import { measureHost } from "../../src/host/facts.ts";
import type { Context } from "../../src/plan/context.ts";
import { sameIds } from "../../src/plan/ids.ts";
import { partDraft } from "../../src/plan/part.ts";
import { planCredentials } from "../../src/plan/process/credentials.ts";
import { planIdentity } from "../../src/plan/process/identity.ts";
import { planLeave } from "../../src/plan/threads/leave.ts";
import { planSignals } from "../../src/plan/threads/signals.ts";
import { planThreads } from "../../src/plan/threads/threads.ts";
import { planTimers } from "../../src/plan/threads/timers.ts";
import { assemble } from "../../src/program/assemble.ts";
import { bytesDatum, cellDatum, dataOf } from "../../src/program/data.ts";
import { tracerOn } from "../../src/trace/tracer.ts";
import { ownFiles } from "../support/builders/own-files.ts";
import {
	NOBODY,
	ROOT,
	registersOf,
	siginfoOf,
	taskOfThreads,
	threadOf,
	xstateOf,
} from "../support/builders/thread-task.ts";
import { isDead, soon } from "../support/lives/living.ts";

// A process that is nothing but its threads, made by this kernel from a plan, and looked at through /proc and ptrace.

const hole = { start: address(0x2000_0000_0000n), end: address(0x2000_0080_0000n) };
/** A page of code (`pause` for ever) and pages to point at. */
const CODE = 0x3000_0000_0000n;
const DATA = CODE + 0x1000n;
const MAP = 0x32n;
const RT_SIGRETURN = 15;

const roomy: Limit = { soft: 10_000n, hard: 20_000n };

const agents: Agent[] = [];
const made: number[] = [];
afterEach(async () => {
	for (const agent of agents.splice(0)) await agent.close();
	for (const pid of made.splice(0)) expect(await soon(() => isDead(pid))).toBe(true);
});

async function live(task: Task) {
	const agent = await startAgent(hole, { streams: "ignore" });
	agents.push(agent);
	const draft = partDraft();
	const pid = task.identity.pid;
	const words = Buffer.alloc(16);
	words.writeBigUInt64LE(4n, 0);
	words.writeBigUInt64LE(BigInt(pid), 8);
	const reportTarget = bytesDatum("context", words);
	const facts = await measureHost(agent);
	const context: Context = {
		...ownFiles(draft, facts, 64),
		...{ draft, ids: sameIds, facts, hole, reportTarget, firstWorkFd: 64, go: cellDatum("go") },
		reserve: () => address(0n),
	};
	planIdentity(task, context);
	const leader = draft.list("leader");
	leader.add("map", "mmap", [CODE, 0x8000n, 7n, MAP, -1n, 0n], "code and data");
	// mov eax, 34; syscall; jmp back
	const code = bytesDatum("code", Buffer.from("b8220000000f05ebf7", "hex"));
	const iov = Buffer.alloc(32);
	iov.writeBigUInt64LE(9n, 8);
	iov.writeBigUInt64LE(CODE, 16);
	iov.writeBigUInt64LE(9n, 24);
	const vector = bytesDatum("iov", iov, { pointers: [{ at: 0, to: code }] });
	leader.add(
		"fill",
		"process_vm_readv",
		[BigInt(pid), { datum: vector.datum, offset: 16 }, 1n, vector, 1n, 0n],
		"code",
		{
			expect: { exactly: 9n },
		},
	);
	planSignals(task, context);
	planThreads(task, context);
	planTimers(task, context);
	planCredentials(task, context);
	planLeave(task, context);
	const plan = {
		...{ pid, tids: task.threads.map(({ tid }) => tid), hole, context: reportTarget, reportFd: 64 },
		...{ views: [], lists: draft.made().lists, data: dataOf(draft.made().lists), findings: draft.made().findings },
	};
	const encoded = assemble(plan);
	await agent.run({ load: encoded.pieces });
	const spawned = await spawnTask(agent, {
		context: encoded.contextAt,
		steps: encoded.firstStep("leader"),
		pids: [pid],
	});
	expect(spawned).toBe(BigInt(pid));
	made.push(pid);
	await agent.call("close", 4);
	const report = await agent.reports.next();
	const failed = encoded.steps.get(Number(report?.id ?? -1n));
	expect([failed?.list, failed?.step, report?.result]).toEqual([undefined, undefined, 0n]);
	return { agent, findings: draft.made().findings };
}

/** Numbers that nobody has, far from those of this moment. */
const tasksOf = (pid: string): number[] => {
	try {
		return /^\d+$/.test(pid) ? readdirSync(`/proc/${pid}/task`).map(Number) : [];
	} catch {
		// gone meanwhile
		return [];
	}
};

function freeIds(count: number): number[] {
	const taken = new Set(readdirSync("/proc").flatMap((pid) => tasksOf(pid)));
	// the kernel hands them out one after the other: half way round from its last nobody comes by meanwhile
	const last = Number(readFileSync("/proc/loadavg", "latin1").trim().split(" ")[4]);
	const ids: number[] = [];
	for (let i = 0; ids.length < count; i++) {
		const id = 1000 + ((last + 14_000 + i) % 30_000);
		if (!taken.has(id)) ids.push(id);
	}
	return ids;
}

const status = (pid: number, tid: number): Record<string, string> =>
	Object.fromEntries(
		readFileSync(`/proc/${pid}/task/${tid}/status`, "latin1")
			.trim()
			.split("\n")
			.map((line) => [
				line.split(":")[0] ?? "",
				line
					.slice(line.indexOf(":") + 1)
					.trim()
					.replace(/\s+/g, " "),
			]),
	);

const root = process.getuid?.() === 0;

describe.skipIf(!root)("threads made by a plan (needs root)", () => {
	it("are as they were: registers, state, masks, signals, timers, limits, credentials", async () => {
		const [pid = 0, second = 0, third = 0] = freeIds(3);
		const at = (offset: bigint) => address(DATA + offset);
		const task = taskOfThreads(
			[
				threadOf(pid, {
					registers: registersOf(1000n, { ip: CODE, sp: DATA + 0x800n, fs_base: DATA, gs_base: DATA + 64n }),
					xstate: xstateOf(3),
					blocked: (1n << 9n) | (1n << 13n),
					pending: [siginfoOf(10, -1, 77, 0x1234n)],
					alternateStack: { base: at(0x2000n), size: 0x2000n, flags: 0 },
					clearTid: at(0x10n),
					robustList: at(0x20n),
					rseq: { area: at(0x40n), size: 32, signature: 0x53053053 },
				}),
				threadOf(second, {
					name: "a worker of sorts",
					registers: registersOf(2000n, { ip: CODE, sp: DATA + 0x900n, fs_base: DATA + 0x100n }),
					xstate: xstateOf(9),
					blocked: (1n << 11n) | (1n << 13n),
					pending: [siginfoOf(12, 0, 99)],
					rseq: { area: at(0x140n), size: 32, signature: 0x53053053 },
					scheduling: { nice: 5, policy: 3, priority: 0 },
					credentials: { ...ROOT, permitted: 0x21n, effective: 0x20n, inheritable: 1n, ambient: 1n },
				}),
				threadOf(third, {
					registers: registersOf(3000n, { ip: CODE, sp: DATA + 0xa00n, fs_base: DATA + 0x200n }),
					blocked: 1n << 13n,
					scheduling: { nice: 0, policy: 1, priority: 7 },
					credentials: { ...NOBODY, groups: [4, 100], fsuid: 1000, bounding: 0xffffn, noNewPrivileges: true },
					parentDeathSignal: 15,
				}),
			],
			{
				signalActions: [
					{
						signal: 10,
						handler: address(CODE + 0x100n),
						flags: 0x1400_0004n,
						restorer: address(CODE + 0x200n),
						mask: 5n,
					},
					{ signal: 13, handler: address(1n), flags: 0n, restorer: address(0n), mask: 0n },
				],
				pending: [siginfoOf(14, -6, 5)],
				posixTimers: [
					{ id: 3, clock: 1, signal: 40, notify: 0, value: 7n, remaining: 10n ** 12n, interval: 0n, overrun: 0 },
					{
						...{ id: 1, clock: 0, signal: 41, notify: 4, value: 8n, thread: second },
						...{ remaining: 0n, interval: 0n, overrun: 0 },
					},
				],
				intervalTimers: {
					real: { remaining: 900_000_000n, interval: 5n },
					virtual: { remaining: 0n, interval: 0n },
					profiling: { remaining: 800_000_000n, interval: 0n },
				},
				limits: [{ soft: 100n, hard: 200n }, ...new Array<Limit>(6).fill(roomy), { soft: 50n, hard: 60n }],
			},
		);
		const { agent, findings } = await live(task);
		const tids = [pid, second, third];
		const tracer = tracerOn(agent);
		await tracer.seize(tids);
		await tracer.interrupt(tids);
		agent.reports.send(Uint8Array.of(1));
		await tracer.toSyscallExit(tids, RT_SIGRETURN);
		const registers = await tracer.getRegs(tids);
		expect(registers).toEqual(task.threads.map((thread) => thread.registers));
		const areas = await tracer.getXstate(tids, 4096);
		for (const [i, { xstate }] of task.threads.entries()) {
			const area = areas[i] ?? Buffer.alloc(0);
			expect(Array.from({ length: 64 }, (_, word) => area.readUInt32LE(160 + 4 * word))).toEqual(xstate.fx.xmm_space);
			expect(area.readUInt32LE(24)).toBe(0x1fa0);
			expect(area.subarray(576, 832)).toEqual(Buffer.from(xstate.components.get(2) ?? []));
		}
		expect(await tracer.getSigmask(tids)).toEqual(task.threads.map(({ blocked }) => blocked));

		const [one, two, three] = tids.map((tid) => status(pid, tid));
		expect(one).toMatchObject({
			...{ SigPnd: "0000000000000200", ShdPnd: "0000000000002000", SigIgn: "0000000000001000" },
			...{ SigCgt: "0000000000000200", SigBlk: "0000000000002200", Uid: "0 0 0 0", CapPrm: "0000000000000000" },
		});
		expect(two).toMatchObject({
			...{ Name: "a worker of sor", SigPnd: "0000000000000800", CapPrm: "0000000000000021" },
			...{ CapEff: "0000000000000020", CapInh: "0000000000000001", CapAmb: "0000000000000001" },
		});
		expect(three).toMatchObject({
			...{ Uid: "65534 65534 65534 1000", Gid: "65534 65534 65534 65534", Groups: "4 100", NoNewPrivs: "1" },
			...{ CapPrm: "0000000000000000", CapBnd: "000000000000ffff" },
		});
		const stat = (tid: number): string[] =>
			readFileSync(`/proc/${pid}/task/${tid}/stat`, "latin1")
				.replace(/^.*\) /, "")
				.split(" ");
		const [STATE, PGRP, SESSION, NICE, RT_PRIORITY, POLICY] = [0, 2, 3, 16, 37, 38];
		expect([PGRP, SESSION].map((i) => stat(pid)[i])).toEqual([`${pid}`, `${pid}`]);
		expect([NICE, POLICY].map((i) => stat(second)[i])).toEqual(["5", "3"]);
		expect([RT_PRIORITY, POLICY].map((i) => stat(third)[i])).toEqual(["7", "1"]);
		expect(stat(pid)[STATE]).toBe("t");
		const limits = readFileSync(`/proc/${pid}/limits`, "latin1");
		expect(limits).toMatch(/Max cpu time +100 +200 /);
		expect(limits).toMatch(/Max open files +50 +60 /);
		const timers = readFileSync(`/proc/${pid}/timers`, "latin1");
		expect(timers.match(/^ID: \d+/gm)?.sort()).toEqual(["ID: 1", "ID: 3"]);
		expect(timers).toContain(`notify: signal/tid.${second}`);
		expect(readdirSync(`/proc/${pid}/fd`).filter((fd) => Number(fd) >= 64)).toEqual([]);
		expect(findings).toEqual([]);
		await tracer.detach(tids);
		expect(await soon(() => stat(pid)[STATE] === "S")).toBe(true);
	});

	it("are two hundred, and die with the restorer as long as they have not gone", async () => {
		const tids = freeIds(200);
		const registers = registersOf(1n, { ip: CODE, sp: DATA });
		const task = taskOfThreads(tids.map((tid) => threadOf(tid, { registers, credentials: NOBODY })));
		const { agent } = await live(task);
		const [pid = 0] = tids;
		expect(readdirSync(`/proc/${pid}/task`)).toHaveLength(200);
		await agent.close();
		expect(await soon(() => isDead(pid))).toBe(true);
	});
});
