import type { Memory, SharedObject } from "../../forest/task.ts";

type Shown = Pick<Memory, "mappings" | "objects" | "bounds">;

/**
 * Which of a donor's shared anonymous memory the dead process's is. Where both have one layout, the one that lies in the same place.
 * Else by size, in the order of their addresses, where both have as many of a size: programs map in one order, and one more or less
 * leaves open which.
 *
 * @returns ids of the donor's objects by those of the dead process's.
 */
export function pairNameless(dead: Shown, donor: Shown): ReadonlyMap<number, number> {
	const [own, theirs] = [viewsOf(dead), viewsOf(donor)];
	if (isSameLayout(dead, donor)) {
		const places = new Map(theirs.map(({ place, object }) => [place, object.id]));
		return new Map(
			own.flatMap(({ place, object }): [number, number][] => {
				const id = places.get(place);
				return id === undefined ? [] : [[object.id, id]];
			}),
		);
	}
	const bySize = sizesOf(theirs);
	return new Map(
		[...sizesOf(own)].flatMap(([size, alike]): [number, number][] => {
			const others = bySize.get(size) ?? [];
			if (others.length !== alike.length) return [];
			return alike.flatMap((id, i): [number, number][] => {
				const other = others[i];
				return other === undefined ? [] : [[id, other]];
			});
		}),
	);
}

function sizesOf(views: readonly View[]): ReadonlyMap<bigint, readonly number[]> {
	const sizes = new Map<bigint, number[]>();
	for (const { object } of views) {
		const alike = sizes.get(object.size);
		if (alike === undefined) sizes.set(object.size, [object.id]);
		else alike.push(object.id);
	}
	return sizes;
}

interface View {
	readonly object: SharedObject;
	/** Where its first mapping lies, and what that shows. */
	readonly place: string;
}

/** By address. */
function viewsOf({ mappings, objects }: Shown): View[] {
	const nameless = new Map(objects.flatMap((object) => (object.name === undefined ? [[object.id, object]] : [])));
	const views = new Map<number, View>();
	for (const { start, end, backing } of mappings) {
		const object = backing.kind === "object" ? nameless.get(backing.object) : undefined;
		if (backing.kind !== "object" || object === undefined || views.has(object.id)) continue;
		views.set(object.id, { object, place: `${start}-${end}+${backing.offset}` });
	}
	return [...views.values()];
}

const isSameLayout = ({ bounds: own }: Shown, { bounds: theirs }: Shown): boolean =>
	own.startCode === theirs.startCode && own.startStack === theirs.startStack;
