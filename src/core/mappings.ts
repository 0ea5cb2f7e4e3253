import type { Registers } from "../arch/architecture.ts";
import type { FileOffset } from "../bytes/address.ts";
import { cut, cutPlaced, extent } from "../bytes/extent.ts";
import type { Range } from "../bytes/range.ts";
import { refuse } from "../errors.ts";
import { atMost, mostMappings } from "../linux/process-bounds.ts";
import type { Core } from "./core.ts";
import type { NotedFile } from "./files.ts";
import { rangeText, type Segment } from "./segments.ts";

/** One mapping of the dead process: what PT_LOAD and NT_FILE together say of it. */
export interface CoreMapping extends Range {
	/** Bits of mmap(2). Unknown where gdb left a clean file mapping out and only NT_FILE tells of it. */
	readonly prot?: number;
	/** The file, `offset` being that of the mapping's start. Absent for private anonymous memory. */
	readonly file?: { readonly path: string; readonly offset: FileOffset; readonly deleted: boolean };
	/** Where the core's bytes of it are, if any. Begins where the mapping begins. */
	readonly segment?: Segment;
}

/**
 * The union of segments and file rows by ascending address. In a kernel core that is one for each mapping the process had; in
 * gdb's vvar and what could not be read are missing.
 *
 * A row inside a larger segment splits it (some tools merge segments); a row that reaches beyond its segment is refused.
 *
 * @throws NecromancerError ERR_CORE_CORRUPT.
 */
export function coreMappings({
	source,
	segments,
	files,
}: Pick<Core<Registers>, "source" | "segments" | "files">): CoreMapping[] {
	const mappings: CoreMapping[] = [];
	let next = 0;
	for (const segment of segments) {
		let at = segment.start;
		for (let file = files[next]; file !== undefined && file.start < segment.end; file = files[++next]) {
			if (file.end <= segment.start) {
				mappings.push(fromFile(file));
				continue;
			}
			if (file.start < segment.start || file.end > segment.end) refuseCrossing(source.name, file, segment);
			if (file.start > at) mappings.push(fromSegment(segment, { start: at, end: file.start }));
			mappings.push({ ...fromSegment(segment, file), ...fromFile(file) });
			at = file.end;
		}
		if (at < segment.end) mappings.push(fromSegment(segment, { start: at, end: segment.end }));
	}
	for (const file of files.slice(next)) mappings.push(fromFile(file));
	const most = mostMappings(source.size);
	if (mappings.length > most)
		refuse("ERR_CORE_CORRUPT", {
			subject: source.name,
			finding: `has ${mappings.length} mappings`,
			expectation: atMost(most, source.size),
		});
	return mappings;
}

const fromFile = ({ start, end, path, offset, deleted }: NotedFile): CoreMapping => ({
	start,
	end,
	file: { path, offset, deleted },
});

function fromSegment(segment: Segment, { start, end }: Range): CoreMapping {
	if (start === segment.start && end === segment.end) return { start, end, prot: segment.prot, segment };
	const { prot } = segment;
	const part = cutPlaced(segment, start - segment.start, end - segment.start);
	// what it was to hold, cut in the same way
	const wanted = extent(segment.source, segment.offset, segment.length, segment.available + (segment.missing ?? 0n));
	const missing = cut(wanted, start - segment.start, end - segment.start).available - part.available;
	return { start, end, prot, segment: { ...part, end, prot, ...(missing === 0n ? {} : { missing }) } };
}

const refuseCrossing = (subject: string, file: NotedFile, segment: Segment): never =>
	refuse("ERR_CORE_CORRUPT", {
		subject,
		finding: `NT_FILE row ${rangeText(file)} (${file.path}) crosses segment ${rangeText(segment)}`,
		expectation: "expected it to lie within one",
	});
