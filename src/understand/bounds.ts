import { type Address, address, hex, pageCeil, plus } from "../bytes/address.ts";
import { type Range, rangeAt } from "../bytes/range.ts";
import { caution, type Finding, note } from "../finding.ts";
import type { PartialTask } from "../forest/partial-task.ts";
import type { Bounds, Task } from "../forest/task.ts";
import { AT } from "../linux/auxv.ts";
import type { Evidence } from "./evidence/evidence.ts";
import { bssEnd, codeAndData } from "./evidence/program-headers.ts";
import { firstHeap, heapLike, heapUpTo, isAnonymous, type LentHeap } from "./heap.ts";
import { believed } from "./witnesses.ts";

/**
 * `prctl_mm_map` of a dead process. Arguments, environment and stack are found on the dead stack; code and data follow from the
 * executable's program headers, the heap from libc's own variable; a donor lends what these do not tell, moved with the
 * executable.
 */
export function understandBounds(
	dead: PartialTask,
	{ program, programBreak }: Pick<Evidence, "program" | "programBreak">,
	donor: Task | undefined,
	report: (finding: Finding) => void,
): Bounds {
	const { memory } = dead;
	const stack = stackOf(dead, report);
	const executable = memory.mappings.filter(({ file }) => file?.path === memory.executable);
	const [from, to] = [executable[0]?.start ?? stack.startStack, executable.at(-1)?.end ?? stack.startStack];
	const lent = donor === undefined ? undefined : lentBounds(donor, executable[0]?.start);

	const code = believed<CodeAndData>({
		evidence: () => (program === undefined ? undefined : codeAndData(program)),
		donor: () => lent,
		default: () => ({ startCode: from, endCode: to, startData: from, endData: to }),
	});
	if (code.by === "default")
		report(
			caution(
				"default",
				"code and data",
				"the program headers are neither in the core nor on this host; /proc/PID/stat shows the executable's mappings",
			),
		);

	const bss = program === undefined ? undefined : pageCeil(bssEnd(program));
	// where nothing says how large .bss is, what adjoins the executable is taken for it
	const adjoining = memory.mappings.find((mapping) => mapping.start === to && isAnonymous(mapping));
	const { value: heap } = believed<Range>({
		evidence: () => (bss === undefined ? undefined : heapUpTo(memory, programBreak, bss)),
		donor: () => {
			if (lent === undefined) return undefined;
			// folklore: node (seen with 20) maps parts of its own executable again, far from where it was loaded
			const loaded = executable.filter(({ start }) => start < lent.endData);
			return heapLike(lent.heap, memory, loaded.length === 0 ? executable : loaded, stack.startStack, programBreak);
		},
		default: () => {
			const above = bss ?? adjoining?.end ?? to;
			return heapUpTo(memory, programBreak, above) ?? firstHeap(memory, above);
		},
	});
	if (heap.start === heap.end)
		report(note("brk-guessed", `program break ${hex(heap.end)}`, "there was no heap; one would begin here"));
	else if (heap.end !== programBreak)
		report(
			note(
				"brk-guessed",
				`program break ${hex(heap.end)}`,
				"the end of the heap mapping; libc's own variable was not found",
			),
		);
	const { startCode, endCode, startData, endData } = code.value;
	const { startStack, argStart, argEnd, envStart, envEnd } = stack;
	return {
		...{ startCode, endCode, startData, endData },
		...{ startStack, argStart, argEnd, envStart, envEnd },
		startBrk: heap.start,
		brk: heap.end,
	};
}

type CodeAndData = Pick<Bounds, "startCode" | "endCode" | "startData" | "endData">;

/** A donor's, moved as far as the executable lies from its. */
function lentBounds(donor: Task, first: Address | undefined): CodeAndData & { readonly heap: LentHeap } {
	const { bounds, mappings, executable } = donor.memory;
	const theirs = mappings.find(({ backing }) => backing.kind === "file" && backing.path === executable);
	const slide = first === undefined || theirs === undefined ? 0n : first - theirs.start;
	return {
		startCode: plus(bounds.startCode, slide),
		endCode: plus(bounds.endCode, slide),
		startData: plus(bounds.startData, slide),
		endData: plus(bounds.endData, slide),
		heap: {
			start: plus(bounds.startBrk, slide),
			used: bounds.startBrk < bounds.brk,
			below: theirs !== undefined && bounds.startBrk < theirs.start,
		},
	};
}

type StackPart = Pick<Bounds, "startStack" | "argStart" | "argEnd" | "envStart" | "envEnd">;

/** Arguments, environment and stack; where the dead stack does not tell, addresses that the kernel accepts. */
function stackOf(dead: PartialTask, report: (finding: Finding) => void): StackPart {
	const { stack } = dead.memory;
	if (stack.kind === "found") return stack;
	report(caution("stack-guessed", dead.name, `${stack.reason}; ps and /proc/PID/cmdline may show wrong arguments`));
	if (stack.kind === "guessed") return stack;
	const at = placeOnStack(dead);
	return { startStack: at, argStart: at, argEnd: at, envStart: at, envEnd: at };
}

/**
 * An address on the main stack: the leader's stack pointer; where that is not mapped, what execve(2) put there (AT_RANDOM,
 * AT_EXECFN).
 */
function placeOnStack({ threads, memory: { mappings, auxv } }: PartialTask): Address {
	const known = [
		threads[0]?.registers.sp,
		...[AT.RANDOM, AT.EXECFN].map((wanted) => auxv.find(({ type }) => type === wanted)?.value),
	];
	const mapped = known.find((at) => at !== undefined && rangeAt(mappings, address(at)) !== undefined);
	return mapped === undefined ? (mappings.at(-1)?.start ?? address(0n)) : address(mapped);
}
