import { type Address, plus } from "../bytes/address.ts";
import { lengthOf } from "../bytes/range.ts";
import { refuse } from "../errors.ts";
import { PROT_EXEC } from "../linux/mman.ts";
import { type MapsEntry, readMaps, vdsoAreas } from "../proc/maps.ts";
import type { ProcessMemory } from "../trace/process-memory.ts";

const SYSCALL = Buffer.from([0x0f, 0x05]);

/** Bytes that are searched at a time, and of one mapping. */
const MOST = 1 << 20;

/**
 * The address of a `syscall` instruction in a process: in its vdso (the fallback of clock_gettime), else in its own code.
 *
 * @throws NecromancerError ERR_UNSUPPORTED where none is found.
 */
export function syscallInstructionOf(pid: number, memory: ProcessMemory): Address {
	const maps = readMaps(pid);
	for (const range of [...vdsoAreas(maps).slice(-1), ...maps.filter(isCode)]) {
		const length = Number(lengthOf(range));
		const bytes = memory.peek(range.start, Math.min(length, MOST));
		const found = bytes?.indexOf(SYSCALL) ?? -1;
		if (found >= 0) return plus(range.start, BigInt(found));
	}
	return refuse("ERR_UNSUPPORTED", {
		subject: `process ${pid}`,
		finding: "has no system call instruction in sight",
		expectation: "expected one in its vdso or its code",
	});
}

const isCode = ({ prot, name }: MapsEntry): boolean => (prot & PROT_EXEC) !== 0 && name !== "[vsyscall]";
