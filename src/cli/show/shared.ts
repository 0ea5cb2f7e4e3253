import { type Description, kindOf, pathOf } from "../../descriptors/kinds.ts";
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
	const whole = [...shared.descriptions].filter(([, { thing }]) => !isEnd(thing));
	return [
		...viewsOf(shared.tables, "descriptor table", () => ""),
		...viewsOf(shared.objects, "memory", ({ name, size }) =>
			[name === undefined ? [] : `memfd ${name}`, sizeText(size)].flat().join(", "),
		),
		...viewsOf(shared.ghosts, "deleted file", ({ path }) => path),
		...viewsOf(shared.pipes, "pipe", () => ""),
		...viewsOf(shared.fifos, "FIFO", () => ""),
		...viewsOf(shared.pairs, "socket pair", () => ""),
		...viewsOf(new Map(whole), "description", (it) => [it.kind, pathOf(it) ?? []].flat().join(" ")),
	];
}

/** What it is an end of stands for it. */
function isEnd(description: Description): boolean {
	const common = kindOf(description).shares?.(description);
	return common !== undefined && ["pipes", "fifos", "pairs"].includes(common.of);
}
