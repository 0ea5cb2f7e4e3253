import type { Agent } from "../agent/agent.ts";
import { inBatches } from "../agent/in-batches.ts";
import { rangeAt } from "../bytes/range.ts";
import type { Forest } from "../forest/forest.ts";
import { KCMP } from "../linux/sched.ts";
import type { FilePolicy } from "../plan/files/files.ts";
import { readMaps } from "../proc/maps.ts";
import type { Member } from "./members.ts";
import { livingThreadOf } from "./verify.ts";

/** Two that should have one thing. */
interface Pair {
	readonly what: string;
	/** What kcmp(2) compares, and which of it each has. */
	readonly kind: number;
	readonly first: Place;
	readonly second: Place;
}

interface Place {
	readonly pid: number;
	/** One of its threads that has not ended. */
	readonly tid: number;
	/** The number of a descriptor. */
	readonly number: number;
}

/**
 * What processes should have in common and do not, in words: open descriptions and descriptor tables, which the kernel compares,
 * and shared memory, by its inode.
 */
export async function sharedDifferences(
	agent: Agent,
	members: readonly Member[],
	forest: Forest,
	{ fds, byCaller }: Pick<FilePolicy, "fds" | "byCaller">,
): Promise<string[]> {
	const pairs = [...descriptionsOf(members, (number) => fds.has(number) || byCaller?.has(number) === true)];
	const byPid = new Map(members.map((member) => [member.planned.pid, member]));
	for (const { by } of forest.shared.tables.values()) {
		const [first, ...others] = by.flatMap((pid) => byPid.get(pid) ?? []);
		for (const other of others)
			if (first !== undefined)
				pairs.push({
					...{ what: "descriptor table", kind: KCMP.FILES },
					first: { ...livingIn(first), number: 0 },
					second: { ...livingIn(other), number: 0 },
				});
	}
	const differences = objectDifferences(members);
	await inBatches(agent, pairs, {
		...{ doing: "comparing descriptors", patience: PATIENCE },
		add: (batch, { kind, first, second }) =>
			batch.call("kcmp", first.tid, second.tid, kind, first.number, second.number),
		// a kernel without kcmp (CONFIG_KCMP), or a filter that hides it, says nothing
		read: (done, result, { what, first, second }) => {
			if (done.result(result) > 0n)
				differences.push(`the ${what} of process ${first.pid} is not that of process ${second.pid}`);
		},
	});
	return differences;
}

const livingIn = ({ pid, task }: Member) => ({ pid, tid: livingThreadOf(pid, task) });

/** Milliseconds. */
const PATIENCE = 30_000;

/** A description in several tables: once in each. */
function* descriptionsOf(members: readonly Member[], replaced: (number: number) => boolean): Generator<Pair> {
	const firsts = new Map<number, Place>();
	for (const member of members) {
		const { task } = member;
		const living = livingIn(member);
		const own = new Set<number>();
		for (const { number, description } of task.files.descriptors) {
			if (own.has(description.id) || replaced(number)) continue;
			own.add(description.id);
			const first = firsts.get(description.id);
			if (first === undefined) firsts.set(description.id, { ...living, number });
			else yield { what: `descriptor ${number}`, kind: KCMP.FILE, first, second: { ...living, number } };
		}
	}
}

function objectDifferences(members: readonly Member[]): string[] {
	const firsts = new Map<number, { readonly pid: number; readonly inode: bigint }>();
	const differences: string[] = [];
	for (const member of members) {
		const { pid, task } = member;
		const shown = task.memory.mappings.flatMap(({ start, shared, backing }) =>
			shared && backing.kind === "object" ? [{ start, id: backing.object }] : [],
		);
		if (shown.length === 0) continue;
		const maps = readMaps(livingIn(member));
		for (const { start, id } of shown) {
			const inode = rangeAt(maps, start)?.inode;
			const first = firsts.get(id);
			if (inode === undefined) continue;
			if (first === undefined) firsts.set(id, { pid, inode });
			else if (first.inode !== inode)
				differences.push(`processes ${first.pid} and ${pid} no longer show the same object ${id}`);
		}
	}
	return differences;
}
