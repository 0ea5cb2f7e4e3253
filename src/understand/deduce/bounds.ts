import { type Address, hex, pageCeil } from "../../bytes/address.ts";
import type { Range } from "../../bytes/range.ts";
import { caution, type Finding, note } from "../../finding.ts";
import type { PartialMemory, PartialTask } from "../../forest/partial-task.ts";
import type { Bounds } from "../../forest/task.ts";
import { PROT_WRITE } from "../../linux/mman.ts";
import { breakGuessed, endOfRun, FARTHEST_HEAP, heapUpTo, isAnonymous, stackOf } from "../complete/bounds.ts";
import { bssEnd, codeAndData, programOf } from "../evidence/program-headers.ts";
import type { OpenObject } from "../evidence/program-objects.ts";
import { programBreak } from "../evidence/program-objects.ts";

/**
 * `prctl_mm_map` of a dead process without a donor: code and data from the executable's program headers, arguments,
 * environment and stack from the dead stack, the heap from libc's own variable.
 */
export function deduceBounds(dead: PartialTask, open: OpenObject, report: (finding: Finding) => void): Bounds {
	const { memory } = dead;
	const { startStack, argStart, argEnd, envStart, envEnd } = stackOf(dead, report);
	const program = programOf(memory, open);
	const own = memory.mappings.filter(({ file }) => file?.path === memory.executable);
	const [from, to] = [own[0]?.start ?? startStack, own.at(-1)?.end ?? startStack];
	if (program === undefined)
		report(
			caution(
				"default",
				"code and data",
				"the program headers are neither in the core nor on this host; /proc/PID/stat shows the executable's mappings",
			),
		);
	const codeData =
		program === undefined ? { startCode: from, endCode: to, startData: from, endData: to } : codeAndData(program);
	// where nothing says how large .bss is, what adjoins the executable is taken for it
	const adjoining = memory.mappings.find((mapping) => mapping.start === to && isAnonymous(mapping));
	const bss = program === undefined ? (adjoining?.end ?? to) : pageCeil(bssEnd(program));
	const known = programBreak(memory, open);
	const heap = heapUpTo(memory, known, bss) ?? firstHeap(memory, bss);
	if (heap.start === heap.end)
		report(note("brk-guessed", `program break ${hex(heap.end)}`, "there was no heap; one would begin here"));
	else if (heap.end !== known) report(breakGuessed(heap.end));
	return {
		...codeData,
		...{ startStack, argStart, argEnd, envStart, envEnd },
		startBrk: heap.start,
		brk: heap.end,
	};
}

/** The first writable anonymous mapping above .bss, as far as the kernel puts a heap. */
function firstHeap({ mappings }: PartialMemory, bss: Address): Range {
	const at = mappings.findIndex(({ end }) => end > bss);
	const first = mappings[at];
	const none = { start: bss, end: bss };
	if (first === undefined || !isAnonymous(first) || ((first.prot ?? 0) & PROT_WRITE) === 0) return none;
	if (first.start - bss > FARTHEST_HEAP) return none;
	return { start: first.start < bss ? bss : first.start, end: endOfRun(mappings, at) };
}
