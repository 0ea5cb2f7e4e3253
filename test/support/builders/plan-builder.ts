import type { Address } from "../../../src/bytes/address.ts";
import { type PartDraft, partDraft } from "../../../src/plan/part.ts";
import type { Plan } from "../../../src/plan/plan.ts";
import type { Place } from "../../../src/program/args.ts";
import { bytesDatum, dataOf } from "../../../src/program/data.ts";

export const PID = 5739;
export const HOLE = { start: 0x2000_0000_0000n as Address, end: 0x2000_0010_0000n as Address };

/** A plan for pid 5739, whose steps and data `write` puts into a draft. Its context reports to descriptor 4. */
export function planOf(write: (draft: PartDraft, context: Place) => void, more: Partial<Plan> = {}): Plan {
	const draft = partDraft();
	const words = Buffer.alloc(16);
	words.writeBigUInt64LE(4n, 0);
	words.writeBigUInt64LE(BigInt(PID), 8);
	const context = bytesDatum("report socket", words);
	write(draft, context);
	const { lists, findings } = draft.made();
	return {
		...{ pid: PID, tids: [PID], hole: HOLE, context, reportFd: 4 },
		...{ views: [], lists, data: dataOf(lists, [context]), findings },
		...more,
	};
}
