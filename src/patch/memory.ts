import { extent } from "../bytes/extent.ts";
import type { Baseline, PageRun } from "../criu/pages/pages.ts";
import type { ContentPart } from "../forest/content-parts.ts";
import type { Memory } from "../forest/task.ts";
import { pageRuns } from "../images/write/pages.ts";
import type { Binary } from "./binaries.ts";

/** The page runs of private memory, without pages that are equal to this host's mapped files. */
export const patchedRuns = (memory: Memory, binaries: ReadonlyMap<string, Binary>): PageRun[] =>
	pageRuns(memory, (part) => fileBaseline(part, binaries));

function fileBaseline({ mapping, start, length }: ContentPart, binaries: ReadonlyMap<string, Binary>): Baseline {
	const { backing } = mapping;
	const binary = backing.kind === "file" ? binaries.get(backing.path) : undefined;
	// whoever restores the images compares build-ids, and nothing else of the bytes
	const { verdict, here } = binary ?? {};
	if (backing.kind !== "file" || here === undefined || verdict?.kind !== "same" || verdict.proof !== "build-id")
		return "nothing";
	const { source } = here;
	const offset = backing.offset + (start - mapping.start);
	return extent(source, offset, length, source.size - offset);
}
