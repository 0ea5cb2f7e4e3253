import type { ByteSource } from "../../../src/bytes/source.ts";
import type { Context } from "../../../src/plan/context.ts";
import type { HostFacts } from "../../../src/plan/host-facts.ts";
import { inputsFrom } from "../../../src/plan/inputs.ts";
import { actorOf, openerOf } from "../../../src/plan/opener.ts";
import type { PartDraft } from "../../../src/plan/part.ts";

/** Circumstances of a process that is the restorer's own user's, whose bytes come from these sources. */
export function ownFiles(
	draft: PartDraft,
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
