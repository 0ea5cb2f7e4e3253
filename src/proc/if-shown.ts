import { NecromancerError } from "../errors.ts";

/** What {@link ifShown} takes for an answer: the process is gone, hidden or not ours, or the kernel has nothing to say. */
const notShown: ReadonlySet<string | undefined> = new Set(["ENOENT", "ESRCH", "EACCES", "EPERM", "EINVAL"]);

/** What a reader of this room says; `undefined` of a process that has ended meanwhile, or that we may not look at. */
export function ifShown<T>(read: () => T): T | undefined {
	try {
		return read();
	} catch (error) {
		if (error instanceof NecromancerError && notShown.has((error.cause as NodeJS.ErrnoException | undefined)?.code))
			return undefined;
		throw error;
	}
}
