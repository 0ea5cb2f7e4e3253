import { viewOf } from "../bytes/layout.ts";
import { POLLIN, pollfd } from "../linux/poll.ts";
import { SIGCHLD, SIGSET_BYTES } from "../linux/signal.ts";
import { timespec } from "../linux/time.ts";
import { WAIT, type WaitStatus, waitStatus } from "../linux/wait.ts";
import { AGENT_FD } from "../program/abi.ts";
import type { Agent } from "./agent.ts";
import type { SyscallBatch } from "./batch.ts";

/*
 * An agent that blocked in wait4(2) would not notice the end of our process: it polls its socket too, or waits for a limited
 * time.
 */

/** Waits for the end of a child of the agent. */
export async function waitForExit(agent: Agent, pid: number): Promise<WaitStatus> {
	const fd = Number(await agent.call("pidfd_open", pid, 0));
	for (;;) {
		const batch = agent.batch();
		const ends = [fd, AGENT_FD].map((one) => pollfd.encode({ fd: one, events: POLLIN, revents: 0 }));
		const status = batch.space(8);
		// without a pidfd (ESRCH) it has ended: do not block
		batch.call("poll", batch.put(Buffer.concat(ends)), ends.length, fd < 0 ? 0 : -1);
		const ended = batch.call("wait4", pid, status, WAIT.ALL | WAIT.NOHANG, 0);
		const done = await agent.perform(batch);
		if (done.result(ended) === 0n) continue;
		await agent.call("close", fd);
		return waitStatus(done.bytes(status).readUInt32LE());
	}
}

/** Waits for the stop of a child of the agent, or for its end. */
export async function waitForStop(agent: Agent, pid: number): Promise<WaitStatus> {
	for (;;) {
		const batch = agent.batch();
		addPause(batch);
		const status = batch.space(8);
		const stopped = batch.call("wait4", pid, status, WAIT.ALL | WAIT.UNTRACED | WAIT.NOHANG, 0);
		const done = await agent.perform(batch);
		if (done.result(stopped) !== 0n) return waitStatus(done.bytes(status).readUInt32LE());
	}
}

/** Nanoseconds. */
const PAUSE_NANOSECONDS = 50_000_000n;

/**
 * Adds a wait for SIGCHLD (which the agent has blocked) of at most {@link PAUSE_NANOSECONDS}: the signal may have been consumed
 * before, and the agent has to notice when its socket closes.
 */
export function addPause(batch: SyscallBatch): void {
	const children = new Uint8Array(Number(SIGSET_BYTES));
	viewOf(children).setBigUint64(0, 1n << BigInt(SIGCHLD - 1), true);
	const time = timespec.encode({ tv_sec: 0n, tv_nsec: PAUSE_NANOSECONDS });
	batch.call("rt_sigtimedwait", batch.put(children), 0, batch.put(time), SIGSET_BYTES);
}
