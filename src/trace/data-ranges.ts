import type { Agent } from "../agent/agent.ts";
import type { Slot } from "../agent/batch.ts";
import { fileOffset } from "../bytes/address.ts";
import type { FileRange } from "../bytes/range.ts";
import { ENXIO, failedWith } from "../linux/errno.ts";
import { SEEK } from "../linux/fcntl.ts";

/** lseek(2): the next byte that is not in a hole, or that is. */

/** Ranges that one request finds. */
const AT_ONCE = 500;

/**
 * Where a file has data and where holes, without touching either.
 *
 * @returns ascending; `undefined` where it cannot be opened, or told.
 */
export async function dataRanges(agent: Agent, path: string): Promise<readonly FileRange[] | undefined> {
	const fd = await agent.call("open", Buffer.from(`${path}\0`), 0);
	if (fd < 0n) return undefined;
	try {
		const found: FileRange[] = [];
		for (let from: bigint | undefined = 0n; from !== undefined; ) {
			const batch = agent.batch();
			const first: Slot = batch.call("lseek", fd, from, SEEK.DATA);
			const pairs = [{ start: first, end: batch.call("lseek", fd, { valueOf: first }, SEEK.HOLE) }];
			for (let last = pairs[0]; pairs.length < AT_ONCE && last !== undefined; last = pairs.at(-1)) {
				const start = batch.call("lseek", fd, { valueOf: last.end }, SEEK.DATA);
				pairs.push({ start, end: batch.call("lseek", fd, { valueOf: start }, SEEK.HOLE) });
			}
			const done = await agent.perform(batch, { patience: 60_000, doing: `looking for data in ${path}` });
			from = undefined;
			for (const slots of pairs) {
				const [start, end] = [done.result(slots.start), done.result(slots.end)];
				if (failedWith(start, ENXIO)) return found;
				if (start < 0n || end <= start) return undefined;
				found.push({ start: fileOffset(start), end: fileOffset(end) });
				from = end;
			}
		}
		return found;
	} finally {
		await agent.call("close", fd);
	}
}
