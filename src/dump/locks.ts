import type { OpenDescriptor } from "../descriptors/ask.ts";
import { type Finding, loss } from "../finding.ts";
import type { FileLock } from "../forest/locks.ts";

/** The locks that a process holds by one open file. @param kept otherwise they are lost, which is reported. */
export function locksOf(
	{ number, link, info }: OpenDescriptor,
	kept: boolean,
	report: (finding: Finding) => void,
): readonly FileLock[] {
	const lose = (what: string): void => report(loss("file-locks", `descriptor ${number}`, `${what}; it is gone`));
	return info.locks.flatMap(({ kind, type, breaking, start, length, text }): FileLock[] => {
		if (kind === undefined) lose(`held ${text} on ${link}, which this version does not know`);
		else if (kept) return [{ kind, descriptor: number, type, start, length, ...(breaking ? { breaking } : {}) }];
		else lose(`held ${kind === "lease" ? "a lease" : "a lock"} on ${link}`);
		return [];
	});
}
