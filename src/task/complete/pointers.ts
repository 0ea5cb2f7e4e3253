import { address, hex, isCanonical } from "../../bytes/address.ts";
import { rangeAt } from "../../bytes/range.ts";
import { PROT_EXEC, PROT_WRITE } from "../../linux/mman.ts";
import { caution, type Finding } from "../finding.ts";
import type { PartialTask } from "../partial-task.ts";

/**
 * Says which threads stand where they cannot go on: after a stack overflow, or with registers that were overwritten. They come
 * back as they were all the same, to be looked at.
 */
export function reportPointers({ threads, memory }: PartialTask, report: (finding: Finding) => void): void {
	for (const { tid, registers } of threads) {
		const say = (text: string): void => report(caution("pointers", `thread ${tid}`, text));
		const stack = rangeAt(memory.mappings, address(registers.sp));
		const where = !isCanonical(registers.sp)
			? "is no address at all"
			: stack === undefined
				? "leads to no memory"
				: ((stack.prot ?? PROT_WRITE) & PROT_WRITE) === 0
					? "leads to memory that cannot be written, such as the guard page of a stack"
					: stack.missing !== undefined && registers.sp >= stack.start + stack.held
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
