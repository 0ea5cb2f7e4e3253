import {
	isRseqRegistered,
	RSEQ_REGISTERED_SIZE,
	RSEQ_SIGNATURE,
	type RseqArea,
	rseqArea,
} from "../../arch/x86-64/rseq.ts";
import { type Address, plus } from "../../bytes/address.ts";
import type { PartialMemory } from "../../forest/partial-task.ts";
import type { Rseq } from "../../forest/task.ts";
import { AT, type AuxvPair } from "../../linux/auxv.ts";
import type { ControlBlock } from "./control-blocks.ts";
import { type OpenObject, variablesOf } from "./program-objects.ts";

/** glibc's rseq areas: how far from fs_base, and as what they were registered. */
export interface RseqLayout {
	readonly offset: bigint;
	readonly size: number;
}

const OFFSET = "__rseq_offset";
const GLIBC = { objects: /\/(?:ld-linux|libc)[-.][^/]*$/ };
const ALIGNMENT = BigInt(RSEQ_REGISTERED_SIZE);

/** The most processors a kernel can be built for (NR_CPUS, arch/x86/Kconfig). */
const MOST_PROCESSORS = 8192;

/**
 * Where glibc (2.35 and later) has its rseq areas: its variable `__rseq_offset` says, and what lies there must look like areas.
 * Without the variable, the only place behind the control blocks where every thread has what looks like one.
 */
export function rseqLayout(
	blocks: readonly ControlBlock[],
	memory: PartialMemory,
	open: OpenObject,
): RseqLayout | undefined {
	if (blocks.length === 0) return undefined;
	const looksRight = (offset: bigint): boolean =>
		blocks.every(({ at }) => {
			const area = areaAt(memory, plus(at, offset));
			return area !== undefined && (!isRseqRegistered(area) || isPlausible(area));
		});
	for (const variables of variablesOf(memory, open, GLIBC, [OFFSET], "possible")) {
		const at = variables.get(OFFSET);
		const offset = at === undefined ? undefined : memory.read(at, 8)?.readBigInt64LE(0);
		if (offset !== undefined && offset !== 0n && looksRight(offset))
			return { offset, size: registeredSize(offset, memory.auxv) };
	}
	const found = searched(blocks);
	return found === undefined ? undefined : { offset: found, size: RSEQ_REGISTERED_SIZE };
}

/** The registration of one thread; `undefined` when it had none. */
export function rseqOf({ at }: ControlBlock, { offset, size }: RseqLayout, memory: PartialMemory): Rseq | undefined {
	const area = areaAt(memory, plus(at, offset));
	if (area === undefined || !isRseqRegistered(area)) return undefined;
	return { area: plus(at, offset), size, signature: RSEQ_SIGNATURE };
}

const areaAt = (memory: PartialMemory, at: Address): RseqArea | undefined => {
	const bytes = at % ALIGNMENT === 0n ? memory.read(at, rseqArea.size) : undefined;
	return bytes === undefined ? undefined : rseqArea.decode(bytes);
};

/** The kernel writes both processor numbers at once, and kills for any flag (since 6.0). */
const isPlausible = ({ cpu_id, cpu_id_start, rseq_cs, flags, node_id, mm_cid }: RseqArea): boolean =>
	cpu_id === cpu_id_start &&
	cpu_id < MOST_PROCESSORS &&
	rseq_cs < 1n << 47n &&
	flags === 0 &&
	node_id < MOST_PROCESSORS &&
	mm_cid < MOST_PROCESSORS;

/**
 * glibc before 2.41 has the area inside `struct pthread` and registers 32 bytes; later ones have it below fs_base and register
 * as much as the kernel said it uses, aligned, but no less.
 */
function registeredSize(offset: bigint, auxv: readonly AuxvPair[]): number {
	const used = offset < 0n ? (auxv.find(({ type }) => type === AT.RSEQ_FEATURE_SIZE)?.value ?? 0n) : 0n;
	return Math.max(RSEQ_REGISTERED_SIZE, used < 4096n ? Math.ceil(Number(used) / 32) * 32 : 0);
}

/** Zeros look like an area of processor 0, so some thread must have run on another, and no second place may do as well. */
function searched(blocks: readonly ControlBlock[]): bigint | undefined {
	const shortest = Math.min(...blocks.map(({ bytes }) => bytes.length));
	const found: bigint[] = [];
	for (let offset = 0; offset + RSEQ_REGISTERED_SIZE <= shortest; offset += 8) {
		if (!blocks.every(({ at }) => (at + BigInt(offset)) % ALIGNMENT === 0n)) continue;
		const areas = blocks.map(({ bytes }) => rseqArea.decode(bytes.subarray(offset)));
		const tail = blocks.some(({ bytes }) => bytes.subarray(offset + rseqArea.size - 4, offset + 32).some(Boolean));
		if (!tail && areas.every(isPlausible) && areas.some(({ cpu_id }) => cpu_id !== 0)) found.push(BigInt(offset));
	}
	return found.length === 1 ? found[0] : undefined;
}
