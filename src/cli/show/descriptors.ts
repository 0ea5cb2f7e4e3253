import { kindOf, pathOf, positionOf } from "../../descriptors/kinds.ts";
import type { Descriptor } from "../../forest/files.ts";
import { O, openFlagsText } from "../../linux/open.ts";
import { escapeText } from "../escape-text.ts";
import { fold, withHidden } from "../fold.ts";
import { longSection } from "../section.ts";
import { linesOf } from "../table.ts";
import type { Paint } from "../terminal.ts";

/** Open files: number, what it is, how it was opened, where it stands. */
export function* descriptorsText(
	descriptors: readonly Descriptor[],
	paint: Paint,
	verbose: boolean,
): Generator<string, void, undefined> {
	const first = new Map<number, number>();
	for (const { number, description } of descriptors) if (!first.has(description.id)) first.set(description.id, number);
	const folded = fold(descriptors, verbose);
	const lines = linesOf("rlll", [...folded.head, ...folded.tail], ({ number, description, closeOnExec }) => {
		const { id, kind, flags } = description;
		const path = pathOf(description);
		const position = positionOf(description);
		const same = first.get(id);
		const how = openFlagsText((flags & ~O.LARGEFILE) | (closeOnExec ? O.CLOEXEC : 0));
		const remark = kindOf(description).remark?.(description);
		const remarks = [
			...(path === undefined ? [] : [escapeText(path)]),
			...(position === undefined || position === 0n ? [] : [`at ${position}`]),
			...(remark === undefined ? [] : [escapeText(remark)]),
			...(same === undefined || same === number ? [] : [`the description of ${same}`]),
		];
		return [`${number}`, kind, how, remarks.join("  ")];
	});
	const more = paint.dim(`  … ${folded.hidden.length} more (-v shows them)`);
	yield* longSection("descriptors", `${descriptors.length}`, withHidden(lines, folded, more), paint);
}
