import type { Baseline, PageRun } from "../../criu/pages/pages.ts";
import { PE } from "../../criu/vma.ts";
import { type ContentPart, contentParts } from "../../forest/content-parts.ts";
import type { Memory } from "../../forest/task.ts";
import { MAP } from "../../linux/mman.ts";

/**
 * The bytes of private memory, each with what the mapping would show without them. vvar has no bytes of its own, and
 * droppable memory may lose its own at any time.
 *
 * @param ofFile what a private mapping of a file shows where nothing is written; without it, all its pages are.
 * @throws NecromancerError as {@link contentParts} does.
 */
export function pageRuns(
	{ mappings, contents }: Pick<Memory, "mappings" | "contents">,
	ofFile: (part: ContentPart) => Baseline = () => "nothing",
): PageRun[] {
	const solid = mappings.filter(({ backing }) => backing.kind !== "guard");
	const baselineOf = (part: ContentPart): Baseline => {
		const { kind } = part.mapping.backing;
		if (kind === "anonymous") return "zero";
		return kind === "file" ? ofFile(part) : "nothing";
	};
	return contents
		.flatMap((content) => [...contentParts(content, solid)])
		.filter(({ mapping }) => mapping.backing.kind !== "vvar" && (mapping.flags & MAP.DROPPABLE) === 0)
		.map((part) => ({ ...part, baseline: baselineOf(part), flags: PE.PRESENT }));
}
