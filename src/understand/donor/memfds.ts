import { caution, type Finding } from "../../finding.ts";
import { type Files, withDescriptions } from "../../forest/files.ts";
import type { Memory, SharedObject, Task } from "../../forest/task.ts";
import { pairNameless } from "./nameless-objects.ts";

/** Memory and descriptors whose memfds refer to the same objects. */
export interface MatchedMemfds {
	readonly memory: Memory;
	readonly files: Files;
	/** The donor's object that each of the dead process's is, memory without a name too; none where nothing tells. */
	readonly lent: ReadonlyMap<number, number>;
}

/**
 * Points the donor's memfd fds at the dead process's objects: the first memfd of a name that the donor mapped is the first that
 * the dead process mapped, and so on. The dead one's bytes stay, seals and owner are the donor's. Memfds that the dead process
 * had not mapped come along as the donor had them.
 */
export function matchMemfds(
	memory: Memory,
	files: Files,
	donor: Task,
	report: (finding: Finding) => void,
): MatchedMemfds {
	const theirs = new Map<string, SharedObject[]>();
	for (const object of mapped(donor.memory)) {
		if (object.name !== undefined) theirs.set(object.name, [...(theirs.get(object.name) ?? []), object]);
	}
	const ids = new Map<number, number>();
	const objects = memory.objects.map((object): SharedObject => {
		const counterpart = object.name === undefined ? undefined : theirs.get(object.name)?.shift();
		if (counterpart === undefined) return object;
		ids.set(counterpart.id, object.id);
		const { id, contents, size } = object;
		return { ...counterpart, id, contents, size: size > counterpart.size ? size : counterpart.size };
	});
	let last = objects.reduce((most, { id }) => Math.max(most, id), 0);
	const adopt = (id: number, number: number): number => {
		const object = donor.memory.objects.find((it) => it.id === id);
		last += 1;
		ids.set(id, last);
		if (object === undefined) return last;
		objects.push({ ...object, id: last });
		report(
			caution(
				"files-from-donor",
				`descriptor ${number} (memfd ${object.name ?? ""})`,
				"the dead process had it not mapped: its bytes are the donor's",
			),
		);
		return last;
	};
	const own = withDescriptions(files, (description, number) =>
		description.kind === "memfd"
			? { ...description, object: ids.get(description.object) ?? adopt(description.object, number) }
			: description,
	);
	const named = [...ids].map(([lent, object]): [number, number] => [object, lent]);
	return {
		memory: { ...memory, objects },
		files: own,
		lent: new Map([...named, ...pairNameless(memory, donor.memory)]),
	};
}

/** Those that a mapping shows, in the order of the mappings. */
export function mapped({ mappings, objects }: Pick<Memory, "mappings" | "objects">): SharedObject[] {
	const shown = new Set(mappings.flatMap(({ backing }) => (backing.kind === "object" ? [backing.object] : [])));
	return objects.filter(({ id }) => shown.has(id));
}
