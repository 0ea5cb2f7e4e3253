import { type Address, fileOffset } from "../bytes/address.ts";
import { rangeAt } from "../bytes/range.ts";
import type { PartialMemory } from "./partial-task.ts";
import type { OpenObject } from "./program-objects.ts";

/** Code of the dead process: as the core holds it, or else as this host's file has it. `undefined` where neither does. */
export function codeAt(memory: PartialMemory, open: OpenObject, at: Address, length: number): Buffer | undefined {
	const held = memory.read(at, length);
	if (held !== undefined) return held;
	const mapping = rangeAt(memory.mappings, at);
	if (mapping?.file === undefined || at + BigInt(length) > mapping.end) return undefined;
	return open(mapping.file.path)?.read(fileOffset(mapping.file.offset + (at - mapping.start)), length);
}
