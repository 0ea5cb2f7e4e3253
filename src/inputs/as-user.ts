import type { Agent, Performed } from "../agent/agent.ts";
import type { Slot, SyscallBatch } from "../agent/batch.ts";
import { refuse } from "../errors.ts";
import { errnoName } from "../linux/errno.ts";
import { type Opener, type SwitchStep, stepsToAgent, stepsToUser } from "../plan/opener.ts";
import { type CallName, mapArgs } from "../program/calls.ts";

/**
 * Has the agent make the added calls with the rights of a process's user (see plan/opener.ts), and be itself again.
 *
 * @throws NecromancerError ERR_HOST where it cannot become that user.
 */
export async function performAsUser<T>(
	agent: Agent,
	opener: Opener,
	add: (batch: SyscallBatch) => T,
): Promise<{ readonly added: T; readonly done: Performed }> {
	const batch = agent.batch();
	const switching: { readonly call: CallName; readonly result: Slot }[] = [];
	const change = (steps: readonly SwitchStep[]): void => {
		for (const step of steps) {
			const operands = mapArgs(step, (arg: bigint | Uint8Array) => (typeof arg === "bigint" ? arg : batch.put(arg, 8)));
			switching.push({ call: step.call, result: batch.call(step.call, ...operands) });
		}
	};
	if (!opener.same) change(stepsToUser(opener));
	const added = add(batch);
	if (!opener.same) change(stepsToAgent(opener));
	const done = await agent.perform(batch, { patience: PATIENCE, doing: "opening files" });
	for (const { call, result } of switching)
		if (done.result(result) < 0n)
			refuse("ERR_HOST", {
				subject: "agent",
				finding: `${call} failed with ${errnoName(Number(done.result(result)))}`,
				expectation: "expected to look at files as the user of the process",
			});
	return { added, done };
}

/** Milliseconds. A file system that does not answer is not waited for. */
export const PATIENCE = 60_000;
