import { address, hex, isCanonical } from "../bytes/address.ts";
import { overlaps, rangeAt } from "../bytes/range.ts";
import { caution, type Finding } from "../finding.ts";
import { PROT_EXEC, PROT_WRITE } from "../linux/mman.ts";
import type { PartialMapping } from "./partial-task.ts";
import type { Mapping, Task, Thread } from "./task.ts";

/** Threads with their registers, and the memory they point into. */
interface Standing {
	readonly threads: readonly Pick<Thread, "tid" | "registers">[];
	readonly memory: { readonly mappings: readonly ThreadsWithin[] };
}

type ThreadsWithin = Pick<Mapping, "start" | "end"> & Partial<Pick<PartialMapping, "prot" | "held" | "missing">>;

/**
 * Reports threads whose ip or sp is not usable: after a stack overflow, or with smashed registers. They are restored unchanged
 * all the same, to be debugged.
 */
export function reportPointers({ threads, memory }: Standing, report: (finding: Finding) => void): void {
	for (const { tid, registers } of threads) {
		const say = (text: string): void => report(caution("pointers", `thread ${tid}`, text));
		const stack = rangeAt(memory.mappings, address(registers.sp));
		const where = !isCanonical(registers.sp)
			? "is no address at all"
			: stack === undefined
				? "leads to no memory"
				: ((stack.prot ?? PROT_WRITE) & PROT_WRITE) === 0
					? "leads to memory that cannot be written, such as the guard page of a stack"
					: stack.missing !== undefined && registers.sp >= stack.start + (stack.held ?? 0n)
						? "leads to memory that the core was cut short of"
						: undefined;
		if (where !== undefined)
			say(
				`its stack pointer ${hex(registers.sp)} ${where}: before it can call a function, or have a handler called, it needs another (gdb: set $rsp = …)`,
			);
		const code = rangeAt(memory.mappings, address(registers.ip));
		if (code === undefined || ((code.prot ?? PROT_EXEC) & PROT_EXEC) === 0)
			say(`its instruction pointer ${hex(registers.ip)} leads to no code: going on, it dies at once`);
	}
}

/** The same for a task from images. */
export function reportPointersOf({ threads, memory }: Task, report: (finding: Finding) => void): void {
	const solid = memory.mappings.filter(({ backing }) => backing.kind !== "guard");
	const guards = memory.mappings
		.filter(({ backing }) => backing.kind === "guard")
		.map((guard) => ({ ...guard, prot: 0 }));
	for (const thread of threads) {
		if (thread.ended === true) continue;
		// guards lie within mappings
		const guard = rangeAt(guards, address(thread.registers.sp));
		const mappings = guard === undefined ? solid : withGuard(solid, guard);
		reportPointers({ threads: [thread], memory: { mappings } }, report);
	}
}

const withGuard = (solid: readonly Mapping[], guard: Mapping): ThreadsWithin[] =>
	solid.flatMap((mapping) =>
		overlaps(mapping, guard)
			? [{ ...mapping, end: guard.start }, guard, { ...mapping, start: guard.end }].filter(
					({ start, end }) => start < end,
				)
			: [mapping],
	);
