import { lengthOf } from "../../bytes/range.ts";
import type { Finding } from "../../finding.ts";
import type { Task } from "../../forest/task.ts";
import { MAP, PROT_READ, PROT_WRITE } from "../../linux/mman.ts";
import { O } from "../../linux/open.ts";
import type { Context } from "../context.ts";
import { type FilePolicy, planFiles } from "../files/files.ts";
import { flagsOf, NO_FILE } from "../memory/map.ts";
import { inStage, type Part, partDraft } from "../part.ts";
import { LEADER, type PlanStep } from "../plan.ts";
import type { Bench } from "./bench.ts";
import type { CommonDescription } from "./of-several.ts";

/**
 * Makes what several processes have open, in the process that is there first, and puts it out of the way: all others inherit it. It
 * is made as a process's own would be, under numbers from 0 on.
 */
export function planShelf(
	task: Task,
	context: Context,
	policy: FilePolicy,
	{ descriptions, firstCommon, making }: Pick<Bench, "descriptions" | "firstCommon" | "making">,
): Part {
	if (descriptions.length === 0) return context.draft.made();
	const descriptors = descriptions.map(({ description }, number) => ({ number, closeOnExec: true, description }));
	const elsewhere = new Set(descriptions.map(({ key }) => key));
	const words = making.words.told;
	const apart: Context = {
		...context,
		common: { descriptions: new Map(), objects: new Map(), elsewhere, words, children: [], borrowsTable: false },
	};
	const { lists, findings } = planFiles({ ...task, files: { descriptors } }, apart, policy);
	const steps = [...lists.flatMap(({ steps }) => steps), ...putAway(descriptions, firstCommon)];
	return inStage("shared", {
		lists: [{ name: LEADER, steps }],
		findings: findings.flatMap((finding) => told(finding, descriptions)),
	});
}

/** Every process tells what takes the place of others; the rest is told by the number that the first has. */
const told = (finding: Finding, descriptions: readonly CommonDescription[]): Finding[] => {
	if (finding.code === "replaced") return [];
	const number = /^descriptor (\d+)$/.exec(finding.subject)?.[1];
	const first = number === undefined ? undefined : descriptions[Number(number)]?.first;
	return [
		first === undefined ? finding : { ...finding, subject: `descriptor ${first.number} of process ${first.pid}` },
	];
};

/** @param first the number that the first of them waits under. */
function putAway(descriptions: readonly CommonDescription[], first: number): readonly PlanStep[] {
	const { leader, made } = partDraft();
	for (const [i, { description }] of descriptions.entries())
		leader.add(
			"shared",
			"dup3",
			[BigInt(i), BigInt(first + i), BigInt(O.CLOEXEC)],
			`${description.kind}, for all that have it`,
			{ expect: { exactly: BigInt(first + i) } },
		);
	leader.add("shared", "close_range", [0n, BigInt(descriptions.length - 1), 0n], "their numbers are free again");
	return made().lists.flatMap(({ steps }) => steps);
}

/** Shared memory of several processes, each object as a whole. */
export function mapCommon({ draft }: Context, { memory, places }: Pick<Bench, "memory" | "places">): Part {
	for (const { object, mappings } of memory) {
		const place = places.get(object.id);
		if (place === undefined) continue;
		const types = mappings.reduce<number>((all, mapping) => all | flagsOf(mapping), MAP.ANONYMOUS);
		const flags = BigInt(types & ~MAP.LOCKED);
		draft.leader.add(
			"shared",
			"mmap",
			[place.start, lengthOf(place), BigInt(PROT_READ | PROT_WRITE), flags, NO_FILE, 0n],
			"shared memory, for all that have it",
			{ expect: { exactly: place.start } },
		);
	}
	return draft.made();
}
