import type { Address } from "../../../src/bytes/address.ts";
import { bytesFromText } from "../../../src/bytes/text.ts";
import { type PlanDraft, planDraft } from "../../../src/plan/draft.ts";
import type { Plan } from "../../../src/plan/plan.ts";

export const PID = 5739;
export const HOLE = { start: 0x2000_0000_0000n as Address, end: 0x2000_0010_0000n as Address };

/** A plan for pid 5739, whose steps and data `write` puts into a draft. Its context reports to descriptor 4. */
export function planOf(write: (draft: PlanDraft) => void, more: Partial<Plan> = {}): Plan {
	const draft = planDraft(bytesFromText);
	const words = Buffer.alloc(16);
	words.writeBigUInt64LE(4n, 0);
	words.writeBigUInt64LE(BigInt(PID), 8);
	const context = draft.bytes("report socket", words);
	write(draft);
	return {
		...{ pid: PID, tids: [PID], hole: HOLE, context, reportFd: 4 },
		...{ views: [], lists: draft.lists, data: draft.data, findings: draft.findings },
		...more,
	};
}
