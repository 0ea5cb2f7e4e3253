import type { Neighbour } from "../../descriptors/kind.ts";
import { type Kind, kindOf } from "../../descriptors/kinds.ts";
import { openNode } from "../../descriptors/node.ts";
import { addDuplicate } from "../../descriptors/steps.ts";
import type { Task } from "../../forest/task.ts";
import type { Context } from "../context.ts";
import type { Part } from "../part.ts";
import { fdTable } from "./fd-allocator.ts";
import { type FdSlot, type FilePolicy, firstSlots, highestNumber, isOwn, type OwnSlot, slotsOf } from "./slots.ts";

export { type FilePolicy, highestNumber } from "./slots.ts";

const LAST_DESCRIPTOR = 0xffff_ffffn;

/**
 * Opens what the dead process had open, under its numbers. Each description is made once and duplicated; the numbers come in
 * ascending order, so nearly all of it lands where it belongs.
 *
 * @throws NecromancerError ERR_UNSUPPORTED for descriptors that cannot be opened and have no substitute.
 */
export function planFiles({ identity, files }: Task, context: Context, policy: FilePolicy): Part {
	const { firstWorkFd, firstSpareFd, draft, inputs } = context;
	const fds = fdTable(context, identity.pid);
	const slots = slotsOf(files, policy, draft.report).filter(
		(slot) => !comesWithMemory(slot) || context.common?.descriptions.has(slot.key) === true,
	);
	const highest = highestNumber(files, policy);
	if (highest >= firstWorkFd) throw new RangeError(`descriptor ${highest} is not below ${firstWorkFd}`);
	for (const [from, to] of gapsBetween(
		inputs.placed.map(({ number }) => number),
		firstWorkFd,
	))
		fds.add("close_range", [BigInt(from), BigInt(to - 1), 0n], "the agent's descriptors");

	const firsts = new Map(firstSlots(slots).map((slot) => [slot.key, slot]));
	const own = [...firsts.values()].filter(isOwn);
	const alike = byKind(own);
	for (const slot of slots) {
		const { number, closeOnExec, key, content } = slot;
		const first = firsts.get(key) ?? slot;
		fds.goTo(number);
		const others = context.common?.descriptions.get(key);
		if (first !== slot)
			addDuplicate(fds, BigInt(first.number), number, closeOnExec, `${number} and ${first.number} are one`);
		else if (others !== undefined)
			addDuplicate(fds, { input: others }, number, closeOnExec, `${number}, which other processes have too`);
		else if (content.kind === "substitute") openNode(fds, slot, content.path, content.flags);
		else openOwn({ ...slot, content });
	}
	context.actor.asCaller("files");
	const neighbours = new Map(slots.map((slot) => [slot.number, neighbourOf(slot)]));
	for (const slot of own.filter(({ key }) => context.common?.elsewhere.has(key) !== true))
		kindOf(slot.content).making.finish?.(slot, fds, neighbours);
	context.actor.asCaller("files");
	fds.add("close_range", [BigInt(firstSpareFd), LAST_DESCRIPTOR, 0n], "what was only needed meanwhile");
	return context.draft.made();

	function openOwn(slot: OwnSlot): void {
		const { open } = kindOf(slot.content).making;
		if (typeof open !== "function") throw new RangeError(`descriptor ${slot.number} is ${open} opened here`);
		open(slot, fds, alike.get(slot.content.kind) ?? []);
	}
}

function byKind(slots: readonly OwnSlot[]): ReadonlyMap<Kind, readonly OwnSlot[]> {
	const kinds = new Map<Kind, OwnSlot[]>();
	for (const slot of slots) {
		const known = kinds.get(slot.content.kind);
		if (known === undefined) kinds.set(slot.content.kind, [slot]);
		else known.push(slot);
	}
	return kinds;
}

const comesWithMemory = (slot: FdSlot): boolean =>
	isOwn(slot) && kindOf(slot.content).making.open === "with its memory";

const neighbourOf = ({ content, closeOnExec }: FdSlot): Neighbour => ({
	closeOnExec,
	named: content.kind === "substitute" || kindOf(content).making.named === true,
	null: content.kind === "substitute" && content.path === "/dev/null",
	...(content.kind !== "substitute" && kindOf(content).making.late?.(content) === true ? { late: true } : {}),
});

/** The stretches of 0 … `end` - 1 that have none of some numbers in them: where each begins, and the number behind it. */
function gapsBetween(numbers: readonly number[], end: number): (readonly [from: number, to: number])[] {
	const bounds = [-1, ...[...numbers].sort((a, b) => a - b), end];
	return bounds.slice(1).flatMap((to, i) => {
		const from = (bounds[i] ?? -1) + 1;
		return from < to ? [[from, to] as const] : [];
	});
}
