import { O, openFlagsText } from "../../linux/open.ts";
import type { Descriptor } from "../../task/files.ts";
import { pathOf, positionOf } from "../../task/files.ts";
import { escapeText } from "../escape-text.ts";
import type { Paint } from "../terminal.ts";
import { foldedLines } from "./fold.ts";
import { section } from "./section.ts";
import { tableLines } from "./table.ts";

/** Open files: number, what it is, how it was opened, where it stands. */
export function descriptorsText(descriptors: readonly Descriptor[], paint: Paint, verbose: boolean): string {
	const first = new Map<number, number>();
	const rows = descriptors.map(({ number, description, closeOnExec }) => {
		const { id, kind, flags } = description;
		const path = pathOf(description);
		const position = positionOf(description);
		const same = first.get(id);
		if (same === undefined) first.set(id, number);
		const how = openFlagsText((flags & ~O.LARGEFILE) | (closeOnExec ? O.CLOEXEC : 0));
		const remarks = [
			...(path === undefined ? [] : [escapeText(path)]),
			...(position === undefined || position === 0n ? [] : [`at ${position}`]),
			...(same === undefined ? [] : [`the description of ${same}`]),
		];
		return [`${number}`, kind, how, remarks.join("  ")];
	});
	return section("descriptors", `${descriptors.length}`, foldedLines(tableLines("rlll", rows), paint, verbose), paint);
}
