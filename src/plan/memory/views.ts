import { type Address, isPageAligned, PAGE_SIZE } from "../../bytes/address.ts";
import { cutPlaced, type Placed } from "../../bytes/extent.ts";
import { byStart, overlaps, type Range, rangeAt } from "../../bytes/range.ts";
import type { ByteSource } from "../../bytes/source.ts";
import type { Mapping } from "../../forest/task.ts";
import { MADV, MAP, PROT_EXEC } from "../../linux/mman.ts";
import type { Context } from "../context.ts";
import type { Survey } from "./classify.ts";
import { flagsOf, isAdvised, protOf } from "./map.ts";

/**
 * Private memory that shows its bytes where they lie: in a private mapping of their file. A page costs nothing before it is
 * looked at, and is copied when it is first written to.
 */
export interface View extends Placed<Address> {
	readonly mapping: Mapping;
}

/** Below this, reading is about as fast as mapping. */
const WORTH_VIEWING = 64n << 10n;

/** A file's own mapping keeps its name in /proc/PID/maps, unless reading its pages takes really long. */
const WORTH_RENAMING = 1n << 20n;

/** Each splits up to two mappings off, and 65,530 are what the kernel allows by default (vm.max_map_count). */
const MOST_VIEWS = 16_384;

/** What a view could not do: a stack grows, locked pages come at once, huge ones lie in no file, and others may vanish. */
const UNLIKE = MAP.GROWSDOWN | MAP.LOCKED | MAP.HUGETLB | MAP.DROPPABLE;

/**
 * Takes the whole pages that begin on a page of their file out of what has to be read, the largest runs first.
 *
 * @returns the survey of what is left to fill, and the views, ascending.
 */
export function withViews(survey: Survey): Survey & { readonly views: readonly View[] } {
	const { regular, guards, blanks } = survey;
	const views = survey.contents
		.flatMap((content) => viewOf(content, regular, guards) ?? [])
		.sort((a, b) => Number(b.length - a.length))
		.slice(0, MOST_VIEWS)
		.sort(byStart);
	const viewed = new Map(views.map(({ start, length }) => [start, length]));
	const contents = survey.contents
		.map((content) => cutPlaced(content, viewed.get(content.start) ?? 0n))
		.filter(({ length }) => length > 0n);
	const filled = new Set([...contents, ...blanks].flatMap(({ start }) => rangeAt(regular, start) ?? []));
	return { ...survey, contents, filled, views };
}

function viewOf(content: Placed<Address>, regular: readonly Mapping[], guards: readonly Range[]): View | undefined {
	const mapping = rangeAt(regular, content.start);
	const whole = cutPlaced(content, 0n, content.length - (content.length % PAGE_SIZE));
	if (mapping === undefined || whole.length < (mapping.backing.kind === "file" ? WORTH_RENAMING : WORTH_VIEWING))
		return undefined;
	if (!isPageAligned(content.offset) || (mapping.flags & UNLIKE) !== 0) return undefined;
	// cores lie in /tmp, which is often mounted noexec: no file may be mapped executable there (mmap(2), EPERM)
	if ((mapping.prot & PROT_EXEC) !== 0) return undefined;
	// the kernel takes this advice for anonymous memory only, and guards in files since 6.15
	if (isAdvised(mapping, MADV.WIPEONFORK) || guards.some((guard) => overlaps(guard, mapping))) return undefined;
	// beyond a file's end a view has SIGBUS; a read says what is missing
	if (content.offset + content.length > content.source.size) return undefined;
	return { ...whole, mapping };
}

/** Maps views over the memory that is there already: the one place where something is replaced. */
export function mapViews(views: readonly View[], { draft, inputs }: Context): void {
	const leader = draft.leader;
	for (const [source, members] of bySource(views)) {
		const file = { input: inputs.source(source) };
		for (const view of members) {
			const flags = (flagsOf(view.mapping) & ~MAP.FIXED_NOREPLACE) | MAP.FIXED;
			leader.add(
				"map",
				"mmap",
				[view.start, view.length, BigInt(protOf(view.mapping)), BigInt(flags), file, view.offset],
				"its bytes, when they are looked at",
				{ expect: { exactly: view.start } },
			);
		}
	}
}

function bySource(views: readonly View[]): ReadonlyMap<ByteSource, readonly View[]> {
	const groups = new Map<ByteSource, View[]>();
	for (const view of views) {
		const group = groups.get(view.source) ?? [];
		groups.set(view.source, group);
		group.push(view);
	}
	return groups;
}
