import { kindOf } from "../../descriptors/kinds.ts";
import { namedDirectories } from "../../forest/files.ts";
import type { Task } from "../../forest/task.ts";
import { keyOfInput, type MovedInput, type NeededFile } from "../inputs.ts";
import { filesOfSlot } from "./needed-files.ts";
import { type FilePolicy, firstSlots, isOwn, slotsOf } from "./slots.ts";

/**
 * The inputs that one descriptor alone is made of, by {@link keyOfInput}, and ends of pipes, by their keys; and its number. They
 * can wait under it, so that a process with thousands of files takes no more numbers than its own (RLIMIT_NOFILE).
 */
export function placesOfInputs(
	{ files, identity }: Task,
	policy: FilePolicy,
	needed: readonly NeededFile[],
): ReadonlyMap<string, number> {
	const places = new Map<string, number>();
	const shared = new Set(namedDirectories(files).map((path) => keyOfInput(path, "node", "user")));
	const ends = new Map<string, number>();
	for (const slot of firstSlots(slotsOf(files, policy, () => {}))) {
		const { number } = slot;
		const end = isOwn(slot) ? kindOf(slot.content).making.workshop?.waits?.(slot) : undefined;
		if (end !== undefined) ends.set(end, number);
		for (const { path, use, by, apart } of filesOfSlot(slot, identity.pid)) {
			if (use !== "node") continue;
			const key = keyOfInput(path, use, by);
			if (apart || places.has(key)) shared.add(key);
			places.set(key, number);
		}
	}
	const known = new Set(needed.map(({ path, use, by }) => keyOfInput(path, use, by)));
	return new Map([...[...places].filter(([key]) => known.has(key) && !shared.has(key)), ...ends]);
}

/** One move of a descriptor: from where it is to where nothing is that is still to be moved. */
export interface Move {
	readonly name: string;
	readonly from: number;
	readonly to: number;
}

/**
 * The moves that bring inputs from their numbers in the agent to those in the process, in an order in which none is lost.
 *
 * @param spare a number above all of them: cycles go by it.
 */
export function movesOf(inputs: readonly MovedInput[], spare: number): Move[] {
	const waiting = new Map(inputs.filter(({ agent, number }) => agent !== number).map((it) => [it.agent, it]));
	const moves: Move[] = [];
	const free = (start: MovedInput | undefined): void => {
		// whoever goes makes room for whoever is to come where he was
		for (
			let it = start;
			it !== undefined && waiting.has(it.agent) && !waiting.has(it.number);
			it = comingTo.get(it.agent)
		) {
			moves.push({ name: it.name, from: it.agent, to: it.number });
			waiting.delete(it.agent);
		}
	};
	const comingTo = new Map([...waiting.values()].map((it) => [it.number, it]));
	for (const it of inputs) free(it);
	for (const it of inputs) {
		if (!waiting.has(it.agent)) continue;
		moves.push({ name: it.name, from: it.agent, to: spare });
		waiting.delete(it.agent);
		free(comingTo.get(it.agent));
		moves.push({ name: it.name, from: spare, to: it.number });
	}
	return moves;
}
