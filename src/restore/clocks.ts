import type { Agent } from "../agent/agent.ts";
import { refuse } from "../errors.ts";
import { sameOrigin } from "../forest/clocks.ts";
import type { Forest } from "../forest/forest.ts";
import type { Task } from "../forest/task.ts";
import { rootOf } from "../forest/whole.ts";
import { measureClocks } from "../host/clocks.ts";
import { enterPidNamespace, enterUserNamespace, type NamespaceUser } from "../host/namespace.ts";
import { probeTimeNamespace } from "../host/probe-clocks.ts";
import type { Clocks } from "../linux/time.ts";
import type { HostFacts } from "../plan/host-facts.ts";
import type { Plan } from "../plan/plan.ts";
import { ifShown } from "../proc/if-shown.ts";
import { readNamespace, readTimensOffsets, timensOffsetsText } from "../proc/namespaces.ts";
import type { IdChoice } from "./ids.ts";

/** The process's user in the user namespace made for it, and why it can have no time namespace. */
export type Made = Pick<HostFacts, "userNamespace" | "noTimeNamespace">;

/**
 * Moves an agent to where it is to make the process: into a pid namespace, where its ids are to be its own there; into a user
 * namespace, where that takes one.
 *
 * unshare(CLONE_NEWTIME) takes CAP_SYS_ADMIN, which a user namespace gives. One is made for the clocks alone where they differ
 * from this host's. Inside it other users are unmapped (their files show as nobody's, set-user-ID programs do not work). It is
 * not made where pids are to be chosen, which takes a capability outside, nor for another user's process, whose uid could not
 * be mapped.
 *
 * Tried in a child first: the first process made in a new pid namespace is its init, so there is no second try.
 */
export async function enterNamespaces(agent: Agent, forest: Forest, ids: IdChoice): Promise<Made> {
	const task = rootOf(forest);
	const user = userOf(task);
	const plainly = (await needsOwnClocks(agent, task)) ? await probeTimeNamespace(agent) : undefined;
	const mapped = plainly === undefined ? undefined : await probeTimeNamespace(agent, { withUser: true });
	if (ids === "namespace") {
		const made = await enterPidNamespace(agent, user);
		return made === undefined ? obstacle(plainly) : { userNamespace: made, ...obstacle(mapped) };
	}
	const own = forest.processes.every(({ threads }) =>
		threads.every(({ credentials: { uid } }) => uid === process.getuid?.()),
	);
	if (plainly === undefined || mapped !== undefined || ids !== "fresh" || !own) return obstacle(plainly);
	return (await enterUserNamespace(agent, user)) < 0n ? obstacle(plainly) : { userNamespace: user };
}

const obstacle = (found: string | undefined): Made => (found === undefined ? {} : { noTimeNamespace: found });

/** The one uid and gid to map into the user namespace: those the process acts as. */
const userOf = ({ threads: [leader] }: Task): NamespaceUser => ({
	uid: leader?.credentials.euid ?? 0,
	gid: leader?.credentials.egid ?? 0,
});

async function needsOwnClocks(agent: Agent, { clocks }: Task): Promise<boolean> {
	return clocks !== undefined && !sameOrigin(clocks.origin, (await measureClocks(agent)).origin);
}

/** How far the clocks of this host are to be moved now, so that they show what the process is to see. */
export async function offsetsFor(agent: Agent, { clocks }: Plan): Promise<Clocks> {
	if (clocks === undefined) throw new RangeError("a process asks for clocks that it is not to get");
	const { now, origin } = await measureClocks(agent);
	// offsets count from the host's clocks, wherever the agent is itself
	const offset = (clock: keyof Clocks, wanted: bigint): bigint => wanted - (now[clock] - origin.offsets[clock]);
	const monotonic = offset("monotonic", clocks.monotonic);
	return {
		monotonic,
		boottime: clocks.boottime === undefined ? monotonic : offset("boottime", clocks.boottime),
	};
}

/**
 * Looks at the time namespace of a process: the one that it was to make, or the agent's.
 *
 * @throws NecromancerError ERR_RESTORE_FAILED
 */
export function requireClocks(agent: Agent, pid: number, planned: Clocks | undefined): void {
	// absent on a kernel without time namespaces
	const own = ifShown(() => readNamespace(pid, "time"));
	const children = ifShown(() => readNamespace(pid, "time_for_children"));
	const ours = ifShown(() => readNamespace(agent.pid, "time"));
	const bad = (finding: string, expectation: string): never =>
		refuse("ERR_RESTORE_FAILED", { subject: `process ${pid}`, finding, expectation });
	if (planned === undefined) {
		if (own !== ours) bad(`lives in ${own}`, `expected the restorer's time namespace, ${ours}`);
		return;
	}
	if (own === undefined || own === ours || own !== children)
		bad(`lives in ${own}, its children in ${children}`, "expected a time namespace of its own, for both");
	const text = timensOffsetsText(readTimensOffsets(pid));
	if (text !== timensOffsetsText(planned))
		bad(`has the clock offsets ${text.trim()}`, `expected ${timensOffsetsText(planned).trim()}`);
}
