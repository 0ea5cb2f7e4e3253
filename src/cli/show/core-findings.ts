import type { Registers } from "../../arch/architecture.ts";
import { lengthOf } from "../../bytes/range.ts";
import { caution, type Finding, loss, note } from "../../finding.ts";
import type { PartialTask } from "../../forest/partial-task.ts";
import { counted } from "../section.ts";
import { sizeText } from "../size-text.ts";
import { type MappingView, totalsOf } from "./view.ts";

/** What this core lacks, and what that means for a raise. */
export function coreFindings(dead: PartialTask<Registers>, mappings: readonly MappingView[]): Finding[] {
	const { stack } = dead.memory;
	const gdb = dead.writer === "gdb";
	const shadow = dead.threads.filter(({ shadowStack }) => shadowStack !== undefined).length;
	return [
		...coreLosses(mappings),
		...(shadow > 0
			? [loss("xstate", counted(shadow, "shadow stack"), "nothing can set one again: the threads go on without")]
			: []),
		...(gdb ? [caution("masks-lost", "signal masks", "gdb's cores have none: the donor's are taken")] : []),
		...(gdb
			? [
					caution(
						"protection",
						"protections",
						"gdb shows PROT_NONE as readable and leaves clean mappings out: the donor's are taken",
					),
				]
			: []),
		...(stack.kind === "found"
			? []
			: [
					caution(
						"stack-guessed",
						"arguments and environment",
						`${stack.kind === "guessed" ? "not certain" : "not found"}: ${stack.reason}`,
					),
				]),
		note(
			"files-from-donor",
			"descriptors, offsets, working directory, root, umask",
			"never in a core: a donor's are taken",
		),
		note(
			"handlers-from-donor",
			"signal handlers, alternate stacks",
			"never in a core: a donor's are taken, moved to this layout",
		),
		note(
			"thread-state",
			"robust lists, rseq areas, clear-tid addresses",
			"never in a core: found by way of a donor's threads",
		),
		note("timers-from-donor", "timers, limits", "never in a core: a donor's are taken"),
		note(
			"credentials",
			"groups, capabilities, seccomp filters",
			"never in a core: a donor's are taken where its user is the same",
		),
		note(
			"mapping-kind",
			"shared or private, huge pages, locks, advice",
			"never in a core: a donor's like mappings tell",
		),
	];
}

/** Memory whose bytes are lost. */
export const coreLosses = (mappings: readonly MappingView[]): Finding[] => [
	...lostContents(mappings),
	...unheldContents(mappings),
];

/** Files that are gone, with bytes that only they had. */
const lostContents = (mappings: readonly MappingView[]): Finding[] =>
	mappings
		.filter((mapping) => mapping.deleted === true && mapping.kind === "file" && mapping.held < lengthOf(mapping))
		.map((mapping) =>
			loss(
				"contents-lost",
				mapping.path ?? mapping.label,
				`was deleted, and ${sizeText(lengthOf(mapping) - mapping.held)} of it are not in the core: they read as zeros`,
			),
		);

/** Mappings without bytes in core or file, guard pages (PROT_NONE) aside. */
function unheldContents(mappings: readonly MappingView[]): Finding[] {
	const unheld = mappings.filter(
		({ start, end, held, rest, kind, prot }) =>
			rest === "nowhere" && kind !== "file" && prot !== 0 && held < end - start,
	);
	if (unheld.length === 0) return [];
	const bytes = sizeText(totalsOf(unheld).nowhere);
	const found = `${bytes} in ${counted(unheld.length, "mapping")}`;
	return [
		caution(
			"contents-lost",
			found,
			"untouched, or left out of the dump (coredump_filter, MADV_DONTDUMP): they read as zeros",
		),
	];
}
