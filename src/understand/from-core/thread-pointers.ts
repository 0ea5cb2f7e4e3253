import type { Registers } from "../../arch/architecture.ts";
import { type Address, address, hex, plus } from "../../bytes/address.ts";
import type { Core } from "../../core/core.ts";
import type { CoreMapping } from "../../core/mappings.ts";
import type { CoreMemory } from "../../core/memory.ts";
import { caution, type Finding, loss } from "../../finding.ts";
import type { PartialThread } from "../../forest/partial-task.ts";
import { AT } from "../../linux/auxv.ts";
import { PROT_WRITE } from "../../linux/mman.ts";

/** libcs align a control block so, at the least, bytes. */
const ALIGN = 16;

/** Where both glibc and musl have the pointer to the block itself, and glibc once more (`self`, nptl/descr.h), bytes. */
const [SELF, SELF_AGAIN] = [0, 16] as const;

/** `struct pthread` of every glibc is smaller, bytes. */
const LARGEST = 0xb00;

/** What is looked through for control blocks, bytes. */
const SEARCHED = 256n << 20n;
const PIECE = 1n << 20n;

/**
 * Threads with their thread pointers, where a core has none for any of them. folklore: qemu-user (seen with 7.2) writes fs_base
 * as 0. glibc's control block points at itself twice and holds its thread's id: that is searched for; a thread without an
 * unambiguous one gets none.
 */
export function withThreadPointers<R extends Registers>(
	threads: readonly PartialThread<R>[],
	{ auxv }: Pick<Core, "auxv">,
	memory: CoreMemory,
): { readonly threads: readonly PartialThread<R>[]; readonly findings: readonly Finding[] } {
	if (threads.some(({ registers }) => !("fs_base" in registers) || registers.fs_base !== 0n))
		return { threads, findings: [] };
	// a program without a dynamic linker may do without a libc too
	const isDynamic = auxv.some(({ type, value }) => type === AT.BASE && value !== 0n);
	const blocks = controlBlocksIn(memory);
	const findings: Finding[] = [];
	const found = threads.map((thread): PartialThread<R> => {
		const own = blocks.filter(({ words }) => words.includes(thread.tid));
		const [block] = threads.length === 1 && blocks.length === 1 ? blocks : own.length === 1 ? own : [];
		const subject = `thread ${thread.tid}`;
		if (block === undefined) {
			if (isDynamic)
				findings.push(
					loss(
						"thread-state",
						subject,
						"its thread pointer (fs_base) is not in the core, nor found in memory: it dies as soon as it uses errno, a lock, or a stack protector",
					),
				);
			return thread;
		}
		findings.push(
			caution(
				"thread-state",
				subject,
				`its thread pointer (fs_base) is not in the core; ${hex(block.at)} points at itself as a control block does`,
			),
		);
		return { ...thread, registers: { ...thread.registers, fs_base: block.at } };
	});
	return { threads: found, findings };
}

interface Block {
	readonly at: Address;
	/** 32-bit words that may be ids. */
	readonly words: readonly number[];
}

function controlBlocksIn(memory: CoreMemory): Block[] {
	const found: Block[] = [];
	let left = SEARCHED;
	for (const mapping of memory.mappings) {
		if (!isWritable(mapping) || left <= 0n) continue;
		for (let at: bigint = mapping.start; at < mapping.end && left > 0n; at += PIECE, left -= PIECE) {
			const length = mapping.end - at < PIECE ? mapping.end - at : PIECE;
			const bytes = memory.read(address(at), Number(length));
			if (bytes !== undefined) found.push(...blocksIn(bytes, address(at), memory));
		}
	}
	return found;
}

const isWritable = ({ prot, segment }: CoreMapping): boolean =>
	((prot ?? 0) & PROT_WRITE) !== 0 && (segment?.available ?? 0n) > 0n;

function* blocksIn(bytes: Buffer, start: Address, memory: CoreMemory): Generator<Block> {
	for (let i = 0; i + SELF_AGAIN + 8 <= bytes.length; i += ALIGN) {
		const at = plus(start, BigInt(i));
		if (bytes.readUInt32LE(i) !== Number(at & 0xffff_ffffn)) continue;
		if (bytes.readBigUInt64LE(i + SELF) !== at || bytes.readBigUInt64LE(i + SELF_AGAIN) !== at) continue;
		const block = memory.read(at, LARGEST) ?? bytes.subarray(i, i + LARGEST);
		const words = Array.from({ length: Math.floor(block.length / 4) }, (_, n) => block.readInt32LE(4 * n));
		yield { at, words };
	}
}
