import type { Registers } from "../arch/architecture.ts";
import { type Address, address, type FileOffset, plus } from "../bytes/address.ts";
import { bytesOf, cut, type Extent, least } from "../bytes/extent.ts";
import { contains, firstEndingAbove, type Range } from "../bytes/range.ts";
import { PROT_EXEC } from "../linux/mman.ts";
import type { Core } from "./core.ts";
import { isKernelOwned } from "./files.ts";
import { type CoreMapping, coreMappings } from "./mappings.ts";

/** Where the bytes at an address are. `length`: for how many bytes from there the same answer holds. */
export type Whereabouts =
	/** In the core, consecutively. */
	| ({ readonly kind: "core" } & Extent)
	/**
	 * Not in the core since the process never changed them: in the file mapped over `range`, from `offset`. When `deleted`,
	 * or when the file is not the one that was mapped (compare build-ids), the path leads to other bytes.
	 */
	| {
			readonly kind: "file";
			readonly path: string;
			readonly deleted: boolean;
			readonly offset: FileOffset;
			readonly length: bigint;
			readonly range: Range;
	  }
	/**
	 * Nowhere. Not `mapped`: nothing was there. `mapped`: the core says only that memory was there. It was never
	 * touched, or excluded from the dump (MADV_DONTDUMP, coredump_filter); which of these, a core does not tell.
	 */
	| { readonly kind: "nothing"; readonly mapped: boolean; readonly length: bigint };

/** The dead process's memory. */
export interface CoreMemory {
	/** Every known mapping, ascending. */
	readonly mappings: readonly CoreMapping[];
	locate(at: Address): Whereabouts;
	/**
	 * `length` bytes from the core itself, across adjoining mappings; `undefined` where the core lacks any of them. The
	 * caller bounds `length`.
	 */
	read(at: Address, length: number): Buffer | undefined;
	/** The 64-bit little-endian word at an address, aligned or not. */
	readWord(at: Address): bigint | undefined;
}

const TOP = 1n << 64n;

/**
 * A view of a core's memory. Nothing is read before it is asked for.
 *
 * @throws NecromancerError ERR_CORE_CORRUPT where segments and file rows contradict each other.
 */
export function coreMemory(core: Core<Registers>): CoreMemory {
	const mappings = coreMappings(core);

	const locate = (at: Address): Whereabouts => {
		const mapping = mappings[firstEndingAbove(mappings, at)];
		if (mapping === undefined || !contains(mapping, at)) {
			return { kind: "nothing", mapped: false, length: (mapping?.start ?? TOP) - at };
		}
		const { segment } = mapping;
		const file = mapping.file && !isKernelOwned(mapping.file) ? mapping.file : undefined;
		const into = at - mapping.start;
		// folklore: on CPUs with protection keys the kernel cannot read execute-only memory while it dumps, and writes zeros
		// (Linux 6.18). Text is taken from its file instead; for JIT output there is only the core.
		const blank = core.writer === "kernel" && mapping.prot === PROT_EXEC && file !== undefined;
		if (segment !== undefined && !blank && into < segment.available) {
			const { source, offset, length, available } = cut(segment, into, segment.available);
			return { kind: "core", source, offset, length, available };
		}
		const length = mapping.end - at;
		if (file === undefined) return { kind: "nothing", mapped: true, length };
		const { path, deleted } = file;
		const range = { start: mapping.start, end: mapping.end };
		return { kind: "file", path, deleted, offset: plus(file.offset, into), length, range };
	};

	const read = (at: Address, length: number): Buffer | undefined => {
		const end = at + BigInt(length);
		if (end > TOP) return undefined;
		const parts: Extent[] = [];
		for (let next: bigint = at; next < end; ) {
			const found = locate(address(next));
			if (found.kind !== "core") return undefined;
			const part = cut(found, 0n, least(found.length, end - next));
			parts.push(part);
			next += part.length;
		}
		const pieces: Buffer[] = [];
		for (const part of parts) {
			const piece = bytesOf(part);
			// The file was long enough when it was opened: it is being truncated.
			if (piece === undefined) return undefined;
			pieces.push(piece);
		}
		const [only] = pieces;
		return pieces.length === 1 && only !== undefined ? only : Buffer.concat(pieces);
	};

	return { mappings, locate, read, readWord: (at) => read(at, 8)?.readBigUInt64LE(0) };
}
