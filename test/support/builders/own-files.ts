import type { ByteSource } from "../../../src/bytes/source.ts";
import type { Context } from "../../../src/plan/context.ts";
import type { PlanDraft } from "../../../src/plan/draft.ts";
import type { HostFacts } from "../../../src/plan/host-facts.ts";
import { inputsFrom } from "../../../src/plan/inputs.ts";
import { actorOf, openerOf } from "../../../src/plan/opener.ts";

/** Circumstances of a process that is the restorer's own user's, whose bytes come from these sources. */
export function ownFiles(
	draft: PlanDraft,
	facts: HostFacts,
	firstWorkFd: number,
	sources: readonly ByteSource[] = [],
): Pick<Context, "inputs" | "firstSpareFd" | "opener" | "actor"> {
	const opener = openerOf({ threads: [] }, facts);
	return {
		inputs: inputsFrom(sources, new Map(), firstWorkFd + 1),
		firstSpareFd: firstWorkFd + 1 + sources.length,
		...{ opener, actor: actorOf(draft, opener) },
	};
}
