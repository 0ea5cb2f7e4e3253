import type { Agent } from "../agent/agent.ts";
import type { Extent } from "../bytes/extent.ts";
import type { Range } from "../bytes/range.ts";
import type { PourTarget } from "../bytes/source.ts";
import { openPagePipe, type PagePipe } from "../trace/page-pipe.ts";
import { pourPages } from "../trace/pour-pages.ts";
import type { ProcessMemory } from "../trace/process-memory.ts";
import type { VictimThread } from "../trace/victim-memory.ts";
import type { DumpUndo } from "./register-removal.ts";

/** A stopped process whose pages are written. */
export interface Poured {
	readonly memory: ProcessMemory;
	readonly caller: VictimThread;
	/** Mappings without PROT_READ, ascending. */
	readonly unreadable: readonly Range[];
}

/** Bytes: fewer are copied faster than a pipe is set up. */
const WORTH_A_PIPE = 8n << 20n;

/**
 * Appends pages of a stopped process to a file, by a pipe where there are many; it is there for that long only.
 *
 * @throws NecromancerError ERR_IO, ERR_PROCESS, ERR_HOST
 */
export async function pour(
	agent: Agent,
	undo: DumpUndo,
	{ memory, caller, unreadable }: Poured,
	extents: readonly Extent[],
	into: PourTarget,
): Promise<void> {
	const work = extents.reduce((sum, { length }) => sum + length, 0n);
	let pipe: PagePipe | undefined;
	try {
		if (work >= WORTH_A_PIPE) pipe = await openPagePipe(agent, caller, memory, undo.addRemoval);
		undo.also = pipe?.addTakingOut;
		await pourPages(agent, { pipe, unreadable }, extents, into);
	} catch (cause) {
		// the first error is the one to report
		await pipe?.close().then(
			() => {
				undo.also = undefined;
			},
			() => undefined,
		);
		throw cause;
	}
	await pipe?.close();
	undo.also = undefined;
}
