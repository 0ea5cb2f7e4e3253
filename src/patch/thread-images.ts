import type { Extent } from "../bytes/extent.ts";
import { encodeImage } from "../criu/image.ts";
import type { ImageDir } from "../criu/image-dir.ts";
import type { Finding } from "../finding.ts";
import { leaderCore, threadCore } from "../images/write/cores.ts";
import { reportLostRegisters } from "../images/write/representable.ts";
import type { UnderstoodDead } from "./understood.ts";

/** Core images of all threads, on top of those of the donor's. */
export function threadImages(
	donor: ImageDir,
	{ task, donor: lender, donorPid, donorThreads }: UnderstoodDead,
	report: (finding: Finding) => void,
): ReadonlyMap<string, readonly (Uint8Array | Extent)[]> {
	const cores = new Map(lender.threads.map(({ tid }) => [tid, donor.one(`core-${tid}.img`, "core")]));
	const leader = donor.image(`core-${donorPid}.img`, "core");
	return new Map(
		task.threads.map((thread, i) => {
			const base = cores.get(donorThreads.get(thread.tid) ?? donorPid);
			if (base === undefined) throw new Error(`no donor record for thread ${thread.tid}`);
			reportLostRegisters(thread, report);
			const value = i === 0 ? leaderCore(task, thread, base) : threadCore(thread, base);
			return [`core-${thread.tid}.img`, encodeImage({ ...leader, records: [{ value }] })];
		}),
	);
}
