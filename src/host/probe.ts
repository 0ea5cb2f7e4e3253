import type { Agent } from "../agent/agent.ts";
import type { BatchList, Slot, SyscallBatch } from "../agent/batch.ts";
import { addSpawn, type Spawning } from "../agent/spawn.ts";
import { errnoName } from "../linux/errno.ts";
import { PR } from "../linux/prctl.ts";
import { SIGKILL } from "../linux/signal.ts";
import { WAIT, waitStatus } from "../linux/wait.ts";
import { contextLayout, FAILED_STATUS, NO_REPORTS } from "../program/abi.ts";

/** Why something cannot be done, as an errno's name or in words; `undefined` when it can. */
export type Obstacle = string | undefined;

/**
 * Tries a system call in a temporary child process.
 *
 * @param write Adds the steps to the child's list: what comes before the call must succeed. The slot that comes back holds the
 *   result to judge: an error, or a multiple of 256.
 */
export async function inChild(
	agent: Agent,
	write: (list: BatchList, batch: SyscallBatch) => Slot,
	making: Pick<Spawning, "flags" | "pids"> = {},
): Promise<Obstacle> {
	const batch = agent.batch();
	const list = batch.list();
	list.call("prctl", [PR.SET_PDEATHSIG, SIGKILL]);
	const judged = write(list, batch);
	list.call("exit_group", [{ valueOf: judged }]);
	// No report socket: the exit status is the answer.
	const context = batch.put(contextLayout.encode({ report_fd: NO_REPORTS, task: 0n }));
	const pid = addSpawn(batch, agent, { context, steps: { list }, ...making });
	const word = batch.space(8);
	batch.call("wait4", { valueOf: pid }, word, WAIT.ALL, 0);
	const done = await agent.perform(batch, { patience: 10_000, doing: "trying what this host can do" });
	const obstacle = errorText(done.result(pid));
	if (obstacle !== undefined) return obstacle;
	const end = waitStatus(done.bytes(word).readUInt32LE());
	if (end.kind !== "exited") return "the process that tried it died";
	if (end.status === FAILED_STATUS) return "it could not be tried";
	return end.status === 0 ? undefined : errnoName(256 - end.status);
}

/** The name of the errno that a call returned. */
export const errorText = (result: bigint): Obstacle => (result < 0n ? errnoName(Number(result)) : undefined);
