import type { Agent } from "../agent/agent.ts";
import type { Look, OpenDescriptor } from "../descriptors/ask.ts";
import { kinds, type Seen, see } from "../descriptors/kinds.ts";
import type { Finding } from "../finding.ts";
import type { ProcStatus } from "../proc/status.ts";
import { copyDescriptorsOf, type DescriptorCopies } from "../trace/descriptors.ts";
import { lookAt, type Others } from "./look.ts";
import type { ObjectsOfProcess } from "./objects.ts";
import { openDescriptors } from "./open-files.ts";
import { type SocketLists, socketSights } from "./socket-sights.ts";
import type { LiveTerminals } from "./terminals.ts";

/** A stopped process that has descriptors. */
export interface OpeningProcess {
	readonly pid: number;
	readonly status: Pick<ProcStatus, "umask">;
	readonly objects: ObjectsOfProcess;
	readonly report: (finding: Finding) => void;
}

/** A descriptor table as it is. */
export interface OpenTable {
	/** Of those that have it, the one by which it is looked at. */
	readonly process: OpeningProcess;
	readonly look: Look;
	readonly copies: DescriptorCopies;
	/** Ascending. */
	readonly open: readonly OpenDescriptor[];
	/** By number. */
	readonly seen: ReadonlyMap<number, Seen>;
	/** Numbers of what is not dumped. */
	readonly lost: ReadonlySet<number>;
}

/** What all tables are looked at with. */
export interface Around {
	readonly terminals: LiveTerminals;
	readonly others: Others;
	readonly listed: SocketLists;
}

/** @param before What is open. @throws NecromancerError ERR_IO, ERR_HOST. */
export async function openTable(
	agent: Agent,
	process: OpeningProcess,
	before: readonly OpenDescriptor[],
	{ terminals, others, listed }: Around,
): Promise<OpenTable> {
	const { pid } = process;
	const copies = await copyDescriptorsOf(agent, pid);
	try {
		const look = lookAt(pid, await socketSights({ pid, open: before }, copies, listed), terminals, others);
		const counting = before.filter((one) => kinds[see(one, look).kind].living.before !== undefined);
		if (counting.length > 0) await copies.wind(counting.map(({ number }) => number));
		const open = counting.length > 0 ? openDescriptors(pid) : before;
		const seen = new Map(open.map((one) => [one.number, see(one, look)]));
		const lost = new Set([...seen].flatMap(([number, { undumpable }]) => (undumpable === undefined ? [] : [number])));
		return { process, look, copies, open, seen, lost };
	} catch (cause) {
		await copies.close();
		throw cause;
	}
}
