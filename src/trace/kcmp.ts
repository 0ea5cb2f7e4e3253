import type { Agent } from "../agent/agent.ts";
import { inBatches } from "../agent/in-batches.ts";
import { KCMP } from "../linux/sched.ts";

/** How two things of a kind stand to each other: the kernel has an order of them, which means nothing. */
export type Order = "same" | "less" | "greater";

/** What kcmp(2) is asked about: a process, and of what it has several the number. */
export interface Compared {
	readonly pid: number;
	/** Of a descriptor. */
	readonly number?: number;
}

/**
 * Compares what processes have, pair by pair.
 *
 * @returns `undefined` where the kernel does not tell (CONFIG_KCMP).
 * @throws NecromancerError ERR_HOST where the agent is lost.
 */
export async function compareByKernel(
	agent: Agent,
	what: keyof typeof KCMP,
	pairs: readonly (readonly [Compared, Compared])[],
): Promise<readonly (Order | undefined)[]> {
	const found: (Order | undefined)[] = [];
	await inBatches(agent, pairs, {
		doing: "comparing what processes have",
		patience: 30_000,
		add: (batch, [a, b]) => batch.call("kcmp", a.pid, b.pid, KCMP[what], a.number ?? 0, b.number ?? 0),
		read: (done, result) => {
			const order = done.result(result);
			found.push(order < 0n ? undefined : order === 0n ? "same" : order === 1n ? "less" : "greater");
		},
	});
	return found;
}

/** Things that are one and the same. */
export type Class<T> = readonly [T, ...T[]];

/**
 * Sorts things into classes of one and the same, by as few comparisons as sorting takes. Comparisons are asked for in rounds, for all
 * lists at once.
 *
 * @param lists Only what is in one list needs to be compared.
 * @param compare `undefined` is taken for `same`: what looks the same is, where nobody tells.
 * @returns classes in no order; members in that of their list.
 */
export async function classesOf<T>(
	lists: readonly (readonly T[])[],
	compare: (pairs: readonly (readonly [T, T])[]) => Promise<readonly (Order | undefined)[]>,
): Promise<readonly Class<T>[]> {
	const classes: Class<T>[] = [];
	for (let open = lists; open.length > 0; ) {
		const rounds = open.flatMap((list) => {
			// things that were made one after the other are often in order: the first would split off one at a time
			const pivot = list[list.length >> 1];
			return pivot === undefined ? [] : [{ list, pivot }];
		});
		const orders = await compare(
			rounds.flatMap(({ list, pivot }) => list.filter((one) => one !== pivot).map((one) => [one, pivot] as const)),
		);
		const next: T[][] = [];
		let at = 0;
		for (const { list, pivot } of rounds) {
			const [less, same, greater]: [T[], T[], T[]] = [[], [], []];
			for (const one of list) {
				const order = one === pivot ? "same" : orders[at++];
				(order === "less" ? less : order === "greater" ? greater : same).push(one);
			}
			const [first, ...others] = same;
			if (first !== undefined) classes.push([first, ...others]);
			next.push(...[less, greater].filter(({ length }) => length > 0));
		}
		open = next;
	}
	return classes;
}
