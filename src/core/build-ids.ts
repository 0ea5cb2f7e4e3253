import type { Registers } from "../arch/architecture.ts";
import { buildIdFrom } from "../elf/build-id.ts";
import type { Core } from "./core.ts";
import type { CoreMemory } from "./memory.ts";

/** Build-id notes follow the program headers; what a full dump holds of a mapping beyond this is not looked at. */
const LOOKED_AT = 16_384n;

/**
 * The build-ids of the ELF files the process had mapped, by path, from the first page of each that the core holds (the
 * kernel dumps it even of clean mappings: coredump_filter bit 4). Files without one, or whose first page is not there, are
 * absent. Lower-case hexadecimal.
 */
export function buildIds(core: Core<Registers>, memory: CoreMemory): ReadonlyMap<string, string> {
	const found = new Map<string, string>();
	for (const { path, offset, start } of core.files) {
		if (offset !== 0n || found.has(path)) continue;
		const place = memory.locate(start);
		if (place.kind !== "core") continue;
		const length = Number(place.length < LOOKED_AT ? place.length : LOOKED_AT);
		const id = buildIdFrom(memory.read(start, length) ?? Buffer.alloc(0));
		if (id !== undefined) found.set(path, id);
	}
	return found;
}
