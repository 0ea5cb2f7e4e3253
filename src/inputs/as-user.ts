import type { Agent, Performed } from "../agent/agent.ts";
import { label, SIGN, type Slot, type SyscallBatch } from "../agent/batch.ts";
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
		for (const step of steps) switching.push({ call: step.call, result: addSwitch(batch, step) });
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

/**
 * The same for a batch that nobody looks at afterwards, as an undo list: where the agent cannot become that user, the calls are left
 * out.
 */
export function addAsUser(batch: SyscallBatch, opener: Opener, add: () => void): void {
	if (opener.same) {
		add();
		return;
	}
	const back = label("itself again");
	for (const step of stepsToUser(opener)) batch.branch({ valueOf: addSwitch(batch, step) }, SIGN, SIGN, back);
	add();
	batch.mark(back);
	for (const step of stepsToAgent(opener)) addSwitch(batch, step);
}

function addSwitch(batch: SyscallBatch, step: SwitchStep): Slot {
	const operands = mapArgs(step, (arg: bigint | Uint8Array) => (typeof arg === "bigint" ? arg : batch.put(arg, 8)));
	return batch.call(step.call, ...operands);
}

/** Milliseconds. A file system that does not answer is not waited for. */
export const PATIENCE = 60_000;
