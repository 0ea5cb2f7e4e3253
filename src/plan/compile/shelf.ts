import { lengthOf } from "../../bytes/range.ts";
import { placeMemfds } from "../../descriptors/memfd.ts";
import type { Finding } from "../../finding.ts";
import type { Descriptor } from "../../forest/files.ts";
import type { Task } from "../../forest/task.ts";
import { MAP, PROT_READ, PROT_WRITE } from "../../linux/mman.ts";
import { O } from "../../linux/open.ts";
import { type Context, contextOf } from "../context.ts";
import { type FilePolicy, planFiles } from "../files/files.ts";
import { slotsOf } from "../files/slots.ts";
import { NO_INHERITANCE } from "../inheritance.ts";
import { flagsOf, NO_FILE } from "../memory/map.ts";
import { isMemfd } from "../memory/memfds.ts";
import { makeCommonMemfd, settleCommonMemfd } from "../memory/memfds-of-several.ts";
import { inStage, type Part, partDraft } from "../part.ts";
import { LEADER, type PlanStep } from "../plan.ts";
import { addWord } from "../process/hearing.ts";
import type { Bench } from "./bench.ts";
import { type CommonDescription, isOfSession } from "./of-several.ts";

/**
 * Makes what several processes have open, in the process that is there first, and puts it out of the way: all others inherit it. It
 * is made as a process's own would be, under numbers from 0 on: what has a file, with the rights of the first of those that have it.
 */
export function planShelf(
	task: Task,
	context: Context,
	policy: FilePolicy,
	{ shared, firstCommon, making, memfds }: Pick<Bench, "shared" | "firstCommon" | "making" | "memfds">,
): Part {
	const steps: PlanStep[] = [];
	const findings: Finding[] = [];
	let first = firstCommon;
	for (const { opener, inputs, descriptions } of shared) {
		const descriptors = descriptions.flatMap(({ description }, number) =>
			isOfSession(description) ? [] : [{ number, closeOnExec: true, description }],
		);
		first += descriptions.length;
		if (descriptors.length === 0) continue;
		const elsewhere = new Set(descriptions.map(({ key }) => key));
		const words = making.words.told;
		const apart = contextOf({
			...{ ...context, opener, inputs },
			common: {
				descriptions: new Map(),
				objects: new Map(),
				elsewhere,
				words,
				children: [],
				borrowsTable: false,
				inheritance: NO_INHERITANCE,
			},
		});
		const part = planFiles({ ...task, files: { descriptors } }, apart, policy);
		steps.push(
			...part.lists.flatMap((list) => list.steps),
			...openMemfds(descriptors, memfds, policy),
			...putAway(descriptions, first - descriptions.length),
		);
		findings.push(...part.findings.flatMap((finding) => told(finding, descriptions)));
	}
	return inStage("shared", { lists: steps.length === 0 ? [] : [{ name: LEADER, steps }], findings });
}

/** Memfds are there: their descriptions are opened of them. */
function openMemfds(
	descriptors: readonly Descriptor[],
	memfds: Bench["memfds"],
	policy: FilePolicy,
): readonly PlanStep[] {
	const { leader, made } = partDraft();
	const slots = slotsOf({ descriptors }, policy, () => {});
	const own = slots.filter(isMemfd);
	const others = slots.filter((slot) => !isMemfd(slot)).map(({ number }) => number);
	placeMemfds(
		own,
		new Set(others),
		(object) => ({ number: memfds.get(object) ?? 0, original: "any" }),
		(call, args, why, options) => leader.add("shared", call, args, why, options),
	);
	return made().lists.flatMap(({ steps }) => steps);
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
	for (const [i, { description }] of descriptions.entries()) {
		if (isOfSession(description)) continue;
		leader.add(
			"shared",
			"dup3",
			[BigInt(i), BigInt(first + i), BigInt(O.CLOEXEC)],
			`${description.kind}, for all that have it`,
			{ expect: { exactly: BigInt(first + i) } },
		);
	}
	leader.add("shared", "close_range", [0n, BigInt(descriptions.length - 1), 0n], "their numbers are free again");
	return made().lists.flatMap(({ steps }) => steps);
}

/** Shared memory of several processes, each object as a whole. */
export function mapCommon(
	context: Context,
	{ memory, places, memfds }: Pick<Bench, "memory" | "places" | "memfds">,
): Part {
	const { draft } = context;
	for (const { object, mappings } of memory) {
		const place = places.get(object.id);
		const number = memfds.get(object.id);
		if (number !== undefined) makeCommonMemfd(object, mappings, number, context);
		if (number !== undefined || place === undefined) continue;
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

/** Says that a process has mapped what it shows of memfds of several, and writes to them no more. */
export function sayMapped({ identity: { pid } }: Task, { draft }: Context, { making }: Pick<Bench, "making">): Part {
	const word = making.words.mapped.get(pid);
	if (word !== undefined) addWord(draft.leader, "protect", pid, word, "its memfds are mapped");
	return draft.made();
}

/**
 * The first process, which nobody waits for, gives memfds of several their owners and seals when all have mapped them: a seal against
 * writing is refused while anybody could write.
 */
export function settleCommon(
	context: Context,
	{ memory, memfds, making }: Pick<Bench, "memory" | "memfds" | "making">,
): Part {
	const { draft } = context;
	for (const [pid, word] of making.words.mapped)
		draft.leader.add("directories", "await", [word, BigInt(pid)], `until process ${pid} has mapped its memfds`);
	for (const { object } of memory) {
		const number = memfds.get(object.id);
		if (number !== undefined) settleCommonMemfd(object, number, "directories", context);
	}
	return draft.made();
}
