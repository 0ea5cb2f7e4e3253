import { O, openFlagsText } from "../../linux/open.ts";
import type { Descriptor } from "../../task/task.ts";
import { escapeText } from "../escape-text.ts";
import type { Paint } from "../terminal.ts";
import { section } from "./section.ts";
import { tableLines } from "./table.ts";

/** Open files: number, what it is, how it was opened, where it stands. */
export function descriptorsText(descriptors: readonly Descriptor[], paint: Paint): string {
	const first = new Map<number, number>();
	const rows = descriptors.map(({ number, kind, path, flags, position, description, closeOnExec }) => {
		const same = first.get(description);
		if (same === undefined) first.set(description, number);
		const how = openFlagsText((flags & ~O.LARGEFILE) | (closeOnExec ? O.CLOEXEC : 0));
		const remarks = [
			...(path === undefined ? [] : [escapeText(path)]),
			...(position === undefined || position === 0n ? [] : [`at ${position}`]),
			...(same === undefined ? [] : [`the description of ${same}`]),
		];
		return [`${number}`, kind, how, remarks.join("  ")];
	});
	return section("descriptors", `${descriptors.length}`, tableLines("rlll", rows), paint);
}
