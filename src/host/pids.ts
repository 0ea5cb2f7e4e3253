import { readPidMax } from "../proc/sys.ts";
import { isIdTaken } from "../proc/tasks.ts";
import { withAgent } from "./facts.ts";
import { inChild } from "./probe.ts";
import { probePidNamespace } from "./probe-namespace.ts";

/** What this host, and this user on it, can do about certain process and thread ids. */
export interface PidFacts {
	/** Those that somebody has. */
	readonly taken: readonly number[];
	/** kernel.pid_max: ids are below it. */
	readonly pidMax: number;
	/** Whether a process can be made with an id of our choice, here (clone3 set_tid). */
	readonly chosen: boolean;
	/**
	 * Whether one can be made with such ids in a pid namespace of its own, with a user namespace around it if need be. Absent
	 * where all of the ids can be had here: to try it takes as long as to raise a small process.
	 */
	readonly namespace?: boolean;
}

/**
 * Tries it, in processes that are gone afterwards.
 *
 * @throws NecromancerError ERR_HOST where not even an agent runs.
 */
export function measurePids(ids: readonly number[]): Promise<PidFacts> {
	const pidMax = readPidMax();
	const taken = ids.filter(isIdTaken);
	const highest = ids.reduce((most, id) => Math.max(most, id), 1);
	return withAgent(async (agent) => {
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
	});
}
