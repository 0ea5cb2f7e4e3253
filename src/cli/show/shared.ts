import { pathOf } from "../../descriptors/kinds.ts";
import { type Forest, type Held, isShared } from "../../forest/forest.ts";
import { sizeText } from "../size-text.ts";

/** Something that several processes have. */
export interface SharedView {
	readonly kind: "descriptor table" | "description" | "pipe" | "FIFO" | "socket pair" | "memory" | "deleted file";
	readonly id: number;
	/** For people; empty where the kind and the id are all. */
	readonly what: string;
	/** Ids of the processes, parents before children. */
	readonly processes: readonly number[];
}

/** What several processes have. A pipe stands for its ends. */
export function sharedIn({ shared }: Pick<Forest, "shared">): readonly SharedView[] {
	const viewsOf = <T>(
		things: ReadonlyMap<number, Held<T>>,
		kind: SharedView["kind"],
		what: (thing: T) => string,
	): SharedView[] =>
		[...things].flatMap(([id, held]) =>
			isShared(held) ? [{ kind, id, what: what(held.thing), processes: held.by }] : [],
		);
	const ends = new Set(
		[...shared.descriptions].flatMap(([id, { thing }]) => ("pipe" in thing || "pair" in thing ? [id] : [])),
	);
	return [
		...viewsOf(shared.tables, "descriptor table", () => ""),
		...viewsOf(shared.objects, "memory", ({ name, size }) =>
			[name === undefined ? [] : `memfd ${name}`, sizeText(size)].flat().join(", "),
		),
		...viewsOf(shared.ghosts, "deleted file", ({ path }) => path),
		...viewsOf(shared.pipes, "pipe", () => ""),
		...viewsOf(shared.fifos, "FIFO", () => ""),
		...viewsOf(shared.pairs, "socket pair", () => ""),
		...viewsOf(shared.descriptions, "description", (it) => [it.kind, pathOf(it) ?? []].flat().join(" ")).filter(
			({ id }) => !ends.has(id),
		),
	];
}
