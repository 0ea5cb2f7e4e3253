import { POLLIN, pollfd } from "../linux/poll.ts";
import { WAIT, type WaitStatus, waitStatus } from "../linux/wait.ts";
import { AGENT_FD } from "../program/abi.ts";
import type { Agent } from "./agent.ts";
import { addPause } from "./pause.ts";

/*
 * How long another process lives is not for us to know. An agent that sleeps until it ends would not see our own end: it
 * waits for both, or for a moment only.
 */

/** Waits for the end of a child of the agent. */
export async function endOf(agent: Agent, pid: number): Promise<WaitStatus> {
	const fd = Number(await agent.call("pidfd_open", pid, 0));
	for (;;) {
		const batch = agent.batch();
		const ends = [fd, AGENT_FD].map((one) => pollfd.encode({ fd: one, events: POLLIN, revents: 0 }));
		const status = batch.space(8);
		// where it is gone there is nothing to wait for
		batch.call("poll", batch.put(Buffer.concat(ends)), ends.length, fd < 0 ? 0 : -1);
		const ended = batch.call("wait4", pid, status, WAIT.ALL | WAIT.NOHANG, 0);
		const done = await agent.perform(batch);
		if (done.result(ended) === 0n) continue;
		await agent.call("close", fd);
		return waitStatus(done.bytes(status).readUInt32LE());
	}
}

/** Waits for the stop of a child of the agent, or for its end. */
export async function stopOf(agent: Agent, pid: number): Promise<WaitStatus> {
	for (;;) {
		const batch = agent.batch();
		addPause(batch);
		const status = batch.space(8);
		const stopped = batch.call("wait4", pid, status, WAIT.ALL | WAIT.UNTRACED | WAIT.NOHANG, 0);
		const done = await agent.perform(batch);
		if (done.result(stopped) !== 0n) return waitStatus(done.bytes(status).readUInt32LE());
	}
}
