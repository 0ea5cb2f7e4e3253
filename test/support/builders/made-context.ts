import { address } from "../../../src/bytes/address.ts";
import type { ByteSource } from "../../../src/bytes/source.ts";
import type { Context } from "../../../src/plan/context.ts";
import type { HostFacts } from "../../../src/plan/host-facts.ts";
import { sameIds } from "../../../src/plan/ids.ts";
import type { MadeInput, NeededFile } from "../../../src/plan/inputs.ts";
import { partDraft } from "../../../src/plan/part.ts";
import { cellDatum } from "../../../src/program/data.ts";
import { ownFiles } from "./own-files.ts";

/** Circumstances for parts of the compiler that need no facts of the host. */
export function circumstancesFor(
	firstWorkFd: number,
	sources: readonly ByteSource[] = [],
	needed: readonly NeededFile[] = [],
	made: readonly MadeInput[] = [],
	placed: ReadonlyMap<string, number> = new Map(),
): Context {
	const draft = partDraft();
	const facts: HostFacts = {
		xstate: { size: 0, components: [] } as never,
		xcr0: 0n,
		vdso: { image: new Uint8Array(), vvarLength: 0n },
		hugePages: "never",
		processors: 1,
		limits: [],
	};
	return {
		draft,
		ids: sameIds,
		facts,
		hole: { start: address(0x10000n), end: address(0x20000n) },
		reportTarget: cellDatum("report socket"),
		firstWorkFd,
		...ownFiles(draft, facts, firstWorkFd, sources, needed, made, placed),
		go: cellDatum("go"),
		reserve: () => address(0x30000n),
	};
}
