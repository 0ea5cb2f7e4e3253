import { escapeText } from "../escape-text.ts";
import { fold, withHidden } from "../fold.ts";
import { longSection } from "../section.ts";
import { sizeText } from "../size-text.ts";
import { type Cell, linesOf } from "../table.ts";
import type { Paint } from "../terminal.ts";
import type { FileView } from "./view.ts";

/** The mapped files with their build-ids, the executable first. */
export function* mappedFilesText(
	files: readonly FileView[],
	paint: Paint,
	verbose: boolean,
): Generator<string, void, undefined> {
	const folded = fold(files, verbose);
	const lines = linesOf(
		"lrl",
		[...folded.head, ...folded.tail],
		({ path, deleted, buildId, executable, size }): Cell[] => [
			buildId === undefined ? { text: "no build-id known", paint: paint.dim } : buildId,
			size === undefined ? "" : sizeText(size),
			`${escapeText(path)}${deleted ? " (deleted)" : ""}${executable ? paint.dim("  executable") : ""}`,
		],
	);
	const more = paint.dim(`  … ${folded.hidden.length} more (-v shows them)`);
	yield* longSection("mapped files", `${files.length}, by build-id`, withHidden(lines, folded, more), paint);
}
