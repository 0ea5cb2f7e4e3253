import type { Agent } from "../agent/agent.ts";
import { readPidMax } from "../proc/sys.ts";
import { isIdTaken } from "../proc/tasks.ts";
import { withAgent } from "./facts.ts";
import { inChild } from "./probe.ts";
import { probePidNamespace } from "./probe-namespace.ts";

/** Whether this host allows this user a process with certain pids and tids. */
export interface PidFacts {
	/** Those in use. */
	readonly taken: readonly number[];
	/** kernel.pid_max: ids are below it. */
	readonly pidMax: number;
	/** Whether a process can be made with an id of our choice, here (clone3 set_tid). */
	readonly chosen: boolean;
	/**
	 * Whether one can be made with such ids in a new pid namespace, with a user namespace if needed. Absent where all ids are
	 * available here: the probe takes as long as a small raise.
	 */
	readonly namespace?: boolean;
}

/**
 * Probes it in temporary child processes of an agent, or of a temporary one.
 *
 * @throws NecromancerError ERR_HOST where not even an agent runs.
 */
export const measurePids = (ids: readonly number[], agent?: Agent): Promise<PidFacts> =>
	agent === undefined ? withAgent((temporary) => measureBy(temporary, ids)) : measureBy(agent, ids);

async function measureBy(agent: Agent, ids: readonly number[]): Promise<PidFacts> {
	const pidMax = readPidMax();
	const taken = ids.filter(isIdTaken);
	const highest = ids.reduce((most, id) => Math.max(most, id), 1);
	const [pid] = ids.filter((id) => id > 0 && id < pidMax && !taken.includes(id));
	const pids = pid === undefined ? {} : { pids: [pid] };
	const obstacle = await inChild(agent, (list) => list.call("alarm", [0]), pids);
	const chosen = pid !== undefined && obstacle === undefined;
	if (chosen && taken.length === 0 && highest < pidMax) return { taken, pidMax, chosen };
	const namespace = async (withUser: boolean): Promise<boolean> =>
		(await probePidNamespace(agent, { withUser, id: highest })) === undefined;
	return {
		...{ taken, pidMax, chosen },
		namespace: (await namespace(false)) || (await namespace(true)),
	};
}
