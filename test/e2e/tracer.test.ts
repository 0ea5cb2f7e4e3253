import { readdirSync, readFileSync } from "node:fs";
import { afterEach, describe, expect, it } from "vitest";
import type { Agent } from "../../src/agent/agent.ts";
import { startAgent } from "../../src/agent/start-agent.ts";
import { address } from "../../src/bytes/address.ts";
import { type Tracer, tracerOn } from "../../src/trace/tracer.ts";
import { words } from "../support/builders/steps.ts";
import { isDead, soon, stateOf } from "../support/lives/living.ts";
import { MASK, r12Of, revival } from "../support/lives/revival.ts";
import { refusalOf } from "../support/refusal.ts";
import { need } from "../support/tools.ts";

// Threads caught as they leave the restorer, by ptrace.

const hole = { start: address(0x2000_0000_0000n), end: address(0x2000_0080_0000n) };
const RT_SIGRETURN = 15;

/** clone3 with set_tid needs CAP_CHECKPOINT_RESTORE or CAP_SYS_ADMIN. */
const allowed = need("the right to choose process ids", process.getuid?.() === 0);

const started: Agent[] = [];
const living: number[] = [];

afterEach(async () => {
	for (const pid of living.splice(0)) if (!isDead(pid)) process.kill(pid, "SIGKILL");
	for (const agent of started.splice(0)) await agent.close();
});

/** Thread ids that nobody has, from somewhere in the upper half, as other tests look for theirs. */
function freeTids(count: number): number[] {
	const tids: number[] = [];
	const max = Number(readFileSync("/proc/sys/kernel/pid_max", "latin1"));
	// the kernel gives ids in ascending order: half a turn ahead of it nobody else comes by
	const last = Number(readFileSync("/proc/loadavg", "latin1").trim().split(" ").at(-1));
	for (let tid = 1000 + ((last + Math.floor(max / 2)) % (max - 2000)); tids.length < count; tid--)
		if (stateOf(tid) === undefined) tids.unshift(tid);
	return tids;
}

/** A process of so many threads, ready to leave by rt_sigreturn. */
async function ready(threads: number): Promise<{ agent: Agent; tracer: Tracer; tids: number[] }> {
	const agent = await startAgent(hole, { streams: "ignore" });
	started.push(agent);
	const tids = freeTids(threads);
	const at = agent.layout.free.start;
	const { bytes, leader, context } = revival(at, tids);
	await agent.run({ load: [{ at, bytes }] });
	const batch = agent.batch();
	const pid = batch.put(Buffer.from(Int32Array.of(tids[0] ?? 0).buffer));
	const clone = batch.put(words(0, 0, 0, 0, 17, agent.layout.stack.start, 0x2000, 0, pid.at, 1, 0));
	const made = batch.call("spawn", clone, 88, context, leader);
	expect((await agent.perform(batch)).result(made)).toBe(BigInt(tids[0] ?? 0));
	living.push(tids[0] ?? 0);
	expect(await agent.reports.next()).toEqual({ task: 0n, id: 0n, result: 0n });
	return { agent, tracer: tracerOn(agent), tids };
}

const mapsOf = (pid: number): string => readFileSync(`/proc/${pid}/maps`, "latin1");
const tracerOf = (pid: number): string | undefined =>
	/^TracerPid:\t(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, "latin1"))?.[1];

describe.skipIf(!allowed)("a tracer (needs root)", () => {
	it.each([1, 2, 200])(
		"catches %i threads at the exit of rt_sigreturn, and leaves nothing of ours in them",
		async (count) => {
			const { agent, tracer, tids } = await ready(count);
			const [leader = 0] = tids;
			await tracer.seize(tids);
			await tracer.interrupt(tids);
			agent.reports.send(Uint8Array.of(1));
			await tracer.toSyscallExit(tids, RT_SIGRETURN);

			const registers = await tracer.getRegs(tids);
			expect(registers.map(({ r12, ip, orig_ax }) => [r12, ip, BigInt.asIntN(64, orig_ax)])).toEqual(
				tids.map((_, i) => [r12Of(i), 0x3000_0000_0000n, -1n]),
			);
			expect(new Set(await tracer.getSigmask(tids))).toEqual(new Set([MASK]));
			const areas = await tracer.getXstate(tids, 576);
			expect(areas.every((area) => area.length === 576 && area.readUInt16LE(0) === 0x37f)).toBe(true);

			expect(mapsOf(leader)).toMatch(/^200000000000-/m);
			await tracer.injectMunmap(leader, agent.syscallInstruction, hole);
			expect(mapsOf(leader)).not.toMatch(/^20000/m);
			expect(await tracer.getRegs(tids)).toEqual(registers);
			expect(await tracer.getSigmask([leader])).toEqual([MASK]);

			await tracer.detach(tids, { stop: true });
			expect(tracerOf(leader)).toBe("0");
			expect(readdirSync(`/proc/${leader}/task`).map((tid) => stateOf(Number(tid)))).toEqual(tids.map(() => "T"));

			await agent.close();
			process.kill(leader, "SIGCONT");
			const pausing = (): boolean =>
				readFileSync(`/proc/${leader}/task/${tids.at(-1)}/syscall`, "latin1").startsWith("34 ");
			expect(stateOf(leader)).toBeDefined();
			expect(await soon(pausing)).toBe(true);
		},
	);

	it("lets them run when it goes", async () => {
		const { agent, tracer, tids } = await ready(3);
		await tracer.seize(tids);
		await tracer.interrupt(tids);
		agent.reports.send(Uint8Array.of(1));
		await tracer.toSyscallExit(tids, RT_SIGRETURN);
		await tracer.detach(tids);
		expect(await soon(() => tids.every((tid) => stateOf(tid) === "S"))).toBe(true);
		expect(tracerOf(tids[0] ?? 0)).toBe("0");
	});

	it("changes registers and masks", async () => {
		const { tracer, tids } = await ready(1);
		const [tid = 0] = tids;
		await tracer.seize([tid]);
		await tracer.interrupt([tid]);
		const [before] = await tracer.getRegs([tid]);
		if (before === undefined) return expect.fail("no registers");
		await tracer.setRegs(tid, { ...before, r15: 77n, fs_base: 0x1000n });
		await tracer.setSigmask(tid, 0xffff_ffff_ffff_ffffn);
		expect(await tracer.getRegs([tid])).toEqual([{ ...before, r15: 77n, fs_base: 0x1000n }]);
		// neither SIGKILL nor SIGSTOP can be blocked
		expect(await tracer.getSigmask([tid])).toEqual([0xffff_ffff_fffb_feffn]);
	});

	it("delivers a signal that came while a thread was on its way", async () => {
		const { agent, tracer, tids } = await ready(2);
		await tracer.seize(tids);
		await tracer.interrupt(tids);
		// it has them blocked, as the agent has
		for (const tid of tids) await tracer.setSigmask(tid, 0n);
		process.kill(tids[0] ?? 0, "SIGTERM");
		agent.reports.send(Uint8Array.of(1));
		expect(await refusalOf(tracer.toSyscallExit(tids, RT_SIGRETURN))).toMatch(
			/^ERR_STEP_FAILED thread \d+: died of SIGTERM, expected it to be alive$/,
		);
	});

	it("says so when a frame is no frame", async () => {
		const { agent, tracer, tids } = await ready(1);
		const [tid = 0] = tids;
		await tracer.seize([tid]);
		await tracer.interrupt([tid]);
		// its frame is in the hole; without it, rt_sigreturn finds nothing
		const { start, end } = agent.layout.free;
		await tracer.injectMunmap(tid, agent.syscallInstruction, {
			start: address(start + 0x2000n),
			end: address(start + 0x3000n),
		});
		agent.reports.send(Uint8Array.of(1));
		expect(end).toBeGreaterThan(start);
		expect(await refusalOf(tracer.toSyscallExit([tid], RT_SIGRETURN))).toMatch(
			new RegExp(`^ERR_STEP_FAILED thread ${tid}: is dying of SIGSEGV, expected it to be alive$`),
		);
	});

	it("kills what it traces when the agent dies", async () => {
		const { agent, tracer, tids } = await ready(3);
		await tracer.seize(tids);
		await agent.close();
		expect(await soon(() => tids.every(isDead))).toBe(true);
	});

	it.each([false, true])("lets go of a process that has ended meanwhile (to be stopped: %s)", async (stop) => {
		const { agent, tracer, tids } = await ready(3);
		const [leader = 0] = tids;
		await tracer.seize(tids);
		await tracer.interrupt(tids);
		process.kill(leader, "SIGKILL");
		expect(await soon(() => tids.every(isDead))).toBe(true);
		await tracer.detach(tids, { stop });
		// its parent, which is the agent, has heard of it by then, or does now
		if (!stop) {
			const status = Buffer.alloc(8);
			expect(await agent.call("wait4", leader, status, 0x4000_0000, 0)).toBe(BigInt(leader));
			expect(status.readInt32LE()).toBe(9);
		}
		expect(stateOf(leader)).toBeUndefined();
	});

	it("names what it may not trace", async () => {
		const { tracer, tids } = await ready(1);
		const [tid = 0] = tids;
		await tracer.seize([tid]);
		expect(await refusalOf(tracer.seize([tid]))).toBe(
			`ERR_HOST thread ${tid}: ptrace(PTRACE_SEIZE) failed with EPERM, expected to be allowed to trace it; ` +
				"give CAP_SYS_PTRACE, see that no other tracer, seccomp filter or security module is in the way, or do without with --no-ptrace",
		);
		expect(await refusalOf(tracer.getRegs([tid]))).toBe(
			`ERR_HOST thread ${tid}: ptrace(PTRACE_GETREGS) failed with ESRCH, expected a thread that is stopped for us`,
		);
	});
});
