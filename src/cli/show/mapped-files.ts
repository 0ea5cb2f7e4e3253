import { escapeText } from "../escape-text.ts";
import type { Paint } from "../terminal.ts";
import { fold } from "./fold.ts";
import { section } from "./section.ts";
import { sizeText } from "./size-text.ts";
import { tableLines } from "./table.ts";
import type { FileView } from "./view.ts";

/** The mapped files with their build-ids, the executable first. */
export function mappedFilesText(files: readonly FileView[], paint: Paint, verbose: boolean): string {
	const { head, hidden, tail } = fold(files, verbose);
	const lines = tableLines(
		"lrl",
		[...head, ...tail].map(({ path, deleted, buildId, executable, size }) => [
			buildId === undefined ? { text: "no build-id known", paint: paint.dim } : buildId,
			size === undefined ? "" : sizeText(size),
			`${escapeText(path)}${deleted ? " (deleted)" : ""}${executable ? paint.dim("  executable") : ""}`,
		]),
	);
	if (hidden.length > 0) lines.splice(head.length, 0, paint.dim(`  … ${hidden.length} more (-v shows them)`));
	return section("mapped files", `${files.length}, by build-id`, lines, paint);
}
