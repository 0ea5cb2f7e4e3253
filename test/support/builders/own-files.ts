import type { ByteSource } from "../../../src/bytes/source.ts";
import type { Context } from "../../../src/plan/context.ts";
import type { HostFacts } from "../../../src/plan/host-facts.ts";
import { asIfOpened, inputsFrom, type MadeInput, type NeededFile } from "../../../src/plan/inputs.ts";
import { actorOf, openerOf } from "../../../src/plan/opener.ts";
import type { PartDraft } from "../../../src/plan/part.ts";

/** Circumstances of a process that is the restorer's own user's, whose bytes come from these sources, and that needs these files. */
export function ownFiles(
	draft: PartDraft,
	facts: HostFacts,
	firstWorkFd: number,
	sources: readonly ByteSource[] = [],
	needed: readonly NeededFile[] = [],
	made: readonly MadeInput[] = [],
	placed: ReadonlyMap<string, number> = new Map(),
): Pick<Context, "inputs" | "firstSpareFd" | "opener" | "actor"> {
	const opener = openerOf({ threads: [] }, facts);
	const inputs = inputsFrom(
		{ sources, given: sources, opened: asIfOpened(needed, sources), made, placed },
		firstWorkFd + 1,
	);
	return {
		inputs,
		firstSpareFd: firstWorkFd + 1 + inputs.all.length,
		...{ opener, actor: actorOf(() => draft.leader, opener) },
	};
}
