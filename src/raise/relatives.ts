import { caution, type Finding, loss } from "../finding.ts";
import { type Forest, type Held, isShared } from "../forest/forest.ts";

/**
 * What a process lacks that is raised alone and whose donor was one of several: who made it, whom it had made, and what it shared
 * with others, of which it has a copy.
 *
 * @param pid its id in the donor.
 */
export function withoutRelatives({ processes, zombies, shared }: Forest, pid: number): readonly Finding[] {
	const others = processes.filter(({ identity }) => identity.pid !== pid);
	const own = processes.find(({ identity }) => identity.pid === pid)?.identity;
	if (own === undefined || others.length + zombies.length === 0) return [];
	const subject = "donor's relatives";
	const parent = others.find(({ identity }) => identity.pid === own.ppid);
	const children = others.flatMap(({ identity }) => (identity.ppid === pid ? [identity.pid] : []));
	const ended = zombies.flatMap((zombie) => (zombie.ppid === pid ? [zombie.pid] : []));
	const common = (things: ReadonlyMap<number, Held<unknown>>): readonly number[] => [
		...new Set(
			[...things.values()].flatMap((held) =>
				isShared(held) && held.by.includes(pid) ? held.by.filter((other) => other !== pid) : [],
			),
		),
	];
	const [memory, pipes, pairs, descriptions] = [
		common(shared.objects),
		common(shared.pipes),
		common(shared.pairs),
		common(shared.descriptions),
	];
	const told: Finding[] = [
		caution("others-from-donor", subject, `${listed(others)} are not raised, but this one process alone`),
	];
	if (parent !== undefined)
		told.push(
			caution("parent", subject, `it was a child of process ${parent.identity.pid}, and is whoever's that raises it`),
		);
	if (children.length + ended.length > 0)
		told.push(
			loss("others-from-donor", subject, `it had made ${named([...children, ...ended])}; waiting for them fails`),
		);
	if (memory.length > 0)
		told.push(
			loss("memory-of-several", subject, `memory that it shared with ${named(memory)} is its own, as the core has it`),
		);
	if (pipes.length + pairs.length > 0)
		told.push(loss("pipe", subject, `what leads to ${named([...new Set([...pipes, ...pairs])])} leads to nobody`));
	if (descriptions.length > 0)
		told.push(
			caution(
				"files-from-donor",
				subject,
				`files that it has in common with ${named(descriptions)} are opened anew, and so are their offsets`,
			),
		);
	return told;
}

const named = (pids: readonly number[]): string => `process${pids.length === 1 ? "" : "es"} ${pids.join(", ")}`;

const listed = (tasks: Forest["processes"]): string =>
	tasks.map(({ identity: { pid, comm } }) => `${pid} (${comm})`).join(", ");
