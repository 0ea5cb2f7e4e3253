import type { Agent } from "../agent/agent.ts";
import { addSpawn } from "../agent/spawn.ts";
import { PAGE_SIZE, plus } from "../bytes/address.ts";
import { NecromancerError } from "../errors.ts";
import { SIGKILL } from "../linux/signal.ts";
import { WAIT } from "../linux/wait.ts";
import { contextLayout, NO_REPORTS, REPORT_FD } from "../program/abi.ts";
import { tracerOn } from "../trace/tracer.ts";
import { errorText, type Obstacle } from "./probe.ts";

/** Probes ptrace on a child: injects a munmap(2), as at the end of a restore. */
export async function probeTracing(agent: Agent): Promise<Obstacle> {
	const { free } = agent.layout;
	const batch = agent.batch();
	const list = batch.list();
	// It blocks until it is killed, or until the agent has ended.
	list.call("read", [REPORT_FD, batch.space(8), 1]);
	const context = batch.put(contextLayout.encode({ report_fd: NO_REPORTS, task: 0n }));
	const made = addSpawn(batch, agent, { context, steps: { list } });
	const pid = (await agent.perform(batch, { doing: "making a process" })).result(made);
	if (pid < 0n) return errorText(pid);
	const tid = Number(pid);
	try {
		const tracer = tracerOn(agent);
		await tracer.seize([tid]);
		await tracer.interrupt([tid]);
		await tracer.injectMunmap(tid, agent.syscallInstruction, { start: free.start, end: plus(free.start, PAGE_SIZE) });
		return undefined;
	} catch (cause) {
		if (cause instanceof NecromancerError) return cause.finding;
		throw cause;
	} finally {
		await agent.call("kill", tid, SIGKILL);
		await agent.call("wait4", tid, 0, WAIT.ALL, 0);
	}
}
