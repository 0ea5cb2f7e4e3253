import { type Address, address } from "../bytes/address.ts";
import type { PartialMemory } from "./partial-task.ts";
import { type OpenObject, variablesOf } from "./program-objects.ts";

/** glibc's and dietlibc's copy of the program break. musl keeps it in a variable without a name. */
const VARIABLE = "__curbrk";

const LIBC = { objects: /\/libc[-.][^/]*$/ };

/**
 * The dead process's exact program break, as its libc knew it: from the variable `__curbrk` of libc, or of the executable
 * when that is static. `undefined` where no object of the right build is at hand, or none has the variable.
 */
export function programBreak(memory: PartialMemory, open: OpenObject): Address | undefined {
	for (const found of variablesOf(memory, open, LIBC, [VARIABLE])) {
		const at = found.get(VARIABLE);
		const value = at === undefined ? undefined : memory.read(at, 8)?.readBigUInt64LE(0);
		if (value !== undefined && value !== 0n) return address(value);
	}
	return undefined;
}
