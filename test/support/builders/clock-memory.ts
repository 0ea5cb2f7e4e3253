import type { UserRegs } from "../../../src/arch/x86-64/registers.ts";
import { address } from "../../../src/bytes/address.ts";
import type { Range } from "../../../src/bytes/range.ts";
import type { PartialMemory, PartialTask } from "../../../src/forest/partial-task.ts";
import { type Evidence, evidenceIn } from "../../../src/understand/evidence/evidence.ts";

/** Memory of 64-bit words: runs of them at some addresses, and zeros elsewhere up to the end of their page. */
export function wordMemory(runs: readonly (readonly [bigint, readonly bigint[]])[]): PartialMemory {
	const pages = new Map<bigint, Buffer>();
	for (const [at, words] of runs)
		for (const [i, word] of words.entries()) {
			const where = at + BigInt(8 * i);
			const page = where & ~0xfffn;
			const bytes = pages.get(page) ?? Buffer.alloc(4096);
			bytes.writeBigUInt64LE(word, Number(where - page));
			pages.set(page, bytes);
		}
	return {
		...{ mappings: [], contents: [], auxv: [], executable: "", buildIds: new Map() },
		stack: { kind: "unknown", reason: "" },
		read: (at, length) => {
			const page = at & ~0xfffn;
			const from = Number(at - page);
			return pages.get(page)?.subarray(from, from + length);
		},
	};
}

export const pageAt = (start: bigint): Range => ({ start: address(start), end: address(start + 4096n) });

/** A thread asleep in a system call. */
export const clockThread = (tid: number, call: number, registers: Partial<UserRegs>): PartialTask["threads"][number] =>
	({
		tid,
		registers: { orig_ax: BigInt(call), ax: -516n, sp: 0n, ip: 0n, ...registers },
	}) as unknown as PartialTask["threads"][number];

/** What a core proves on a host without any file. */
export const clockEvidence = (dead: Pick<PartialTask, "threads" | "memory">): Evidence =>
	evidenceIn(dead as PartialTask, () => undefined);
