import type { ByteSource } from "../../../src/bytes/source.ts";
import type { Circumstances } from "../../../src/plan/context.ts";
import type { PlanDraft } from "../../../src/plan/draft.ts";
import type { HostFacts } from "../../../src/plan/host-facts.ts";
import { inputsFrom } from "../../../src/plan/inputs.ts";
import { openerOf, standOn } from "../../../src/plan/opener.ts";

/** Circumstances of a process that is the restorer's own user's, whose bytes come from these sources. */
export function ownFiles(
	draft: PlanDraft,
	facts: HostFacts,
	firstWorkFd: number,
	sources: readonly ByteSource[] = [],
): Pick<Circumstances, "inputs" | "firstSpareFd" | "opener" | "stand"> {
	const opener = openerOf({ threads: [] }, facts);
	return {
		inputs: inputsFrom(sources, new Map(), firstWorkFd + 1),
		firstSpareFd: firstWorkFd + 1 + sources.length,
		...{ opener, stand: standOn(draft, opener) },
	};
}
