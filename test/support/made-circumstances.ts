import { address } from "../../src/bytes/address.ts";
import { bytesFromText } from "../../src/bytes/text.ts";
import type { Circumstances } from "../../src/plan/circumstances.ts";
import { planDraft } from "../../src/plan/draft.ts";
import { sameIds } from "../../src/plan/ids.ts";

/** Circumstances for parts of the compiler that need no facts of the host. */
export function circumstancesFor(firstWorkFd: number): Circumstances {
	const draft = planDraft(bytesFromText);
	return {
		draft,
		ids: sameIds,
		facts: {
			xstate: { size: 0, components: [] } as never,
			xcr0: 0n,
			vdso: { image: new Uint8Array(), vvarLength: 0n },
			hugePages: "never",
			processors: 1,
			limits: [],
		},
		hole: { start: address(0x10000n), end: address(0x20000n) },
		context: draft.cell("report socket"),
		firstWorkFd,
		go: draft.cell("go"),
		reserve: () => address(0x30000n),
	};
}
