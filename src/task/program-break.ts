import { type Address, address } from "../bytes/address.ts";
import type { ByteSource } from "../bytes/source.ts";
import { buildIdOfFile } from "../elf/build-id.ts";
import { anObject, PT, readElfHeader, readProgramHeaders } from "../elf/file.ts";
import { readSymbols } from "../elf/object.ts";
import { NecromancerError } from "../errors.ts";
import type { PartialMapping, PartialMemory } from "./partial-task.ts";

/** glibc's and dietlibc's copy of the program break. musl keeps it in a variable without a name. */
const VARIABLE = "__curbrk";

/**
 * The dead process's exact program break, as its libc knew it: from the variable `__curbrk` of libc, or of the executable
 * when that is static. `undefined` where no object of the right build is at hand, or none has the variable.
 *
 * @param open this host's file of a path, if any.
 */
export function programBreak(
	memory: PartialMemory,
	open: (path: string) => ByteSource | undefined,
): Address | undefined {
	for (const [path, buildId] of memory.buildIds) {
		if (path !== memory.executable && !/\/libc[-.][^/]*$/.test(path)) continue;
		const first = memory.mappings.find(({ file }) => file?.path === path && file.offset === 0n);
		const source = open(path);
		if (first === undefined || source === undefined) continue;
		const at = addressOf(source, buildId, first);
		const value = at === undefined ? undefined : memory.read(at, 8)?.readBigUInt64LE(0);
		if (value !== undefined && value !== 0n) return address(value);
	}
	return undefined;
}

/** Where the variable lies in the dead process. A broken file on this host is as good as none. */
function addressOf(source: ByteSource, buildId: string, first: PartialMapping): Address | undefined {
	try {
		if (buildIdOfFile(source) !== buildId) return undefined;
		const symbol = readSymbols(source, [VARIABLE]).get(VARIABLE);
		if (symbol === undefined) return undefined;
		const load = [...readProgramHeaders(source, readElfHeader(source, anObject))].find(
			({ p_type }) => p_type === PT.LOAD,
		);
		return address(first.start - (load?.p_vaddr ?? 0n) + symbol.value);
	} catch (error) {
		if (error instanceof NecromancerError) return undefined;
		throw error;
	}
}
