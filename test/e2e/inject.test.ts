import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { afterEach, describe, expect, it } from "vitest";
import type { Agent } from "../../src/agent/agent.ts";
import { startAgent } from "../../src/agent/start-agent.ts";
import { address } from "../../src/bytes/address.ts";
import { threadsOf } from "../../src/proc/tasks.ts";
import { injectCall } from "../../src/trace/inject.ts";
import { seizeAll } from "../../src/trace/seize-all.ts";
import { tracerOn } from "../../src/trace/tracer.ts";
import { refusalOf } from "../support/refusal.ts";
import { need } from "../support/tools.ts";

// Calls injected into a process that is killed meanwhile: whoever injects hears of it, and waits for nothing.

const hole = { start: address(0x2000_0000_0000n), end: address(0x2000_0080_0000n) };
const allowed = need("the right to trace", process.getuid?.() === 0);

const agents: Agent[] = [];
const children: ChildProcess[] = [];
afterEach(async () => {
	for (const child of children.splice(0)) child.kill("SIGKILL");
	for (const agent of agents.splice(0)) await agent.close();
});

describe.skipIf(!allowed)("an injected call (needs root)", () => {
	it("ends with a process of several threads, whose leader is the last to be told of", async () => {
		const agent = await startAgent(hole, { streams: "ignore" });
		agents.push(agent);
		const victim = spawn(process.execPath, ["-e", "console.log(1); setInterval(() => {}, 1e6)"]);
		children.push(victim);
		await once(victim.stdout, "data");
		const pid = victim.pid ?? 0;
		expect(threadsOf(pid).length).toBeGreaterThan(1);

		const {
			tids: [leader = 0],
		} = await seizeAll(agent, pid);
		const tracer = tracerOn(agent);
		const [[regs], [mask]] = [await tracer.getRegs([leader]), await tracer.getSigmask([leader])];
		if (regs === undefined || mask === undefined) throw new Error("no registers");
		victim.kill("SIGKILL");
		const call = { name: "munmap", args: [0n, 0n] } as const;
		// whatever instruction that is: the thread does not get there
		expect(await refusalOf(injectCall(agent, { tid: leader, regs, mask }, address(regs.ip), call))).toBe(
			`ERR_PROCESS thread ${leader}: died of SIGKILL, expected it to be alive`,
		);
	});
});
