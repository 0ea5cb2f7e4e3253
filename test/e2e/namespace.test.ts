import { readFileSync, readlinkSync } from "node:fs";
import { afterEach, describe, expect, it } from "vitest";
import type { Agent } from "../../src/agent/agent.ts";
import { addSpawn, putCloneArgs } from "../../src/agent/spawn.ts";
import { startAgent } from "../../src/agent/start-agent.ts";
import { address } from "../../src/bytes/address.ts";
import { enterPidNamespace, type Init, reapInit, startInit } from "../../src/host/namespace.ts";
import { measurePids } from "../../src/host/pids.ts";
import { isDead, soon, stateOf } from "../support/lives/living.ts";
import { need } from "../support/tools.ts";

// Pid namespaces that an agent makes, with processes of a few steps in them.

const hole = { start: address(0x2000_0000_0000n), end: address(0x2000_0020_0000n) };
const NOWHERE = Buffer.alloc(16, 0xff);
/** In the namespace. */
const PID = 5000;

// an id that somebody has, so that namespaces matter
const { namespace } = await measurePids([process.pid]);
const able = need("pid namespaces, or user namespaces", namespace === true);

const agents: Agent[] = [];
const inits: Init[] = [];
afterEach(async () => {
	for (const agent of agents.splice(0)) await agent.close();
	for (const { pid } of inits.splice(0)) {
		if (stateOf(pid) !== undefined && !isDead(pid)) process.kill(pid, "SIGKILL");
		expect(await soon(() => isDead(pid))).toBe(true);
	}
});

async function entered(): Promise<{ agent: Agent; init: Init }> {
	const agent = await startAgent(hole, { streams: "ignore" });
	agents.push(agent);
	await enterPidNamespace(agent, { uid: 0, gid: 0 });
	const init = await startInit(agent, PID);
	inits.push(init);
	return { agent, init };
}

/** Makes the process, which makes another that sleeps, and ends with status 7. */
async function processWithChild(agent: Agent): Promise<number> {
	const batch = agent.batch();
	const context = batch.put(NOWHERE);
	const sleeper = batch.list();
	sleeper.call("pause", []);
	const list = batch.list();
	const args = putCloneArgs(batch, agent, {});
	list.call("spawn", [args, args.size, context, { list: sleeper }]);
	list.call("exit_group", [7]);
	const made = addSpawn(batch, agent, { context, steps: { list }, pids: [PID] });
	return Number((await agent.perform(batch)).result(made));
}

const children = (pid: number): number[] =>
	readFileSync(`/proc/${pid}/task/${pid}/children`, "latin1").trim().split(" ").filter(Boolean).map(Number);

/** What its descriptor 0 leads to; nothing between two. */
const inputOf = (pid: number): string => {
	try {
		return readlinkSync(`/proc/${pid}/fd/0`);
	} catch {
		return "";
	}
};

describe.skipIf(!able)(`the first process of a namespace${able ? "" : " (needs root or user namespaces)"}`, () => {
	it("stays for what the process leaves behind, and ends with the last", { timeout: 20_000 }, async () => {
		const { agent, init } = await entered();
		const pid = await processWithChild(agent);
		await init.watch();
		// reaped before that, there is nothing to look for
		expect(await soon(() => /pidfd/.test(inputOf(init.pid)))).toBe(true);
		const status = Buffer.alloc(8);
		expect(await agent.call("wait4", pid, status, 0x4000_0000, 0)).toBe(BigInt(pid));
		expect(status.readInt32LE()).toBe(7 << 8);
		expect(await soon(() => children(init.pid).length === 1)).toBe(true);
		await reapInit(agent, init);
		expect(stateOf(init.pid)).toBe("S");
		for (const orphan of children(init.pid)) process.kill(orphan, "SIGKILL");
		expect(await soon(() => isDead(init.pid))).toBe(true);
		await reapInit(agent, init);
		expect(stateOf(init.pid)).toBeUndefined();
	});

	it("ends with an agent that has made nothing else", async () => {
		const { agent, init } = await entered();
		expect(stateOf(init.pid)).toBeDefined();
		await agent.close();
		expect(await soon(() => isDead(init.pid))).toBe(true);
	});

	it("has its name", async () => {
		const { init } = await entered();
		expect(await soon(() => readFileSync(`/proc/${init.pid}/comm`, "latin1") === "necromancer\n")).toBe(true);
	});
});

describe("measureIds", () => {
	it("finds who has an id, and the limit", async () => {
		const { taken, pidMax, chosen } = await measurePids([process.pid]);
		expect(taken).toEqual([process.pid]);
		expect(pidMax).toBe(Number(readFileSync("/proc/sys/kernel/pid_max", "latin1")));
		expect(chosen).toBe(false);
	});

	it("tries no namespaces for ids that can be had here", async (context) => {
		const limit = Number(readFileSync("/proc/sys/kernel/pid_max", "latin1"));
		const sight = await measurePids([limit - 1]);
		// an ordinary user chooses no ids
		if (sight.taken.length > 0 || !sight.chosen) context.skip();
		expect(sight).toEqual({ taken: [], pidMax: limit, chosen: true });
	});
});
