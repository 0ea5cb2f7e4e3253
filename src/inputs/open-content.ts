import type { Agent } from "../agent/agent.ts";
import type { Slot } from "../agent/batch.ts";
import { pathOfDescriptor } from "../bytes/own-descriptor.ts";
import { refuseAll } from "../errors.ts";
import { errnoName } from "../linux/errno.ts";
import { AT_FDCWD } from "../linux/fcntl.ts";
import { O } from "../linux/open.ts";
import type { Opener } from "../plan/opener.ts";
import { performAsUser } from "./as-user.ts";

/** A node that is open, and how its content is wanted. */
export interface WantedContent {
	readonly path: string;
	/** The agent's descriptor of it. */
	readonly node: number;
	readonly use: "read" | "write";
}

/** Files of one batch. */
const AT_ONCE = 300;

/**
 * Has the agent open what it has as nodes really, by their descriptors, with the rights of a process's user.
 *
 * @returns the agent's descriptors, in the order of `wanted`.
 * @throws NecromancerError ERR_FILE_MISMATCH for all files at once that cannot be opened.
 */
export async function openContents(
	agent: Agent,
	opener: Opener,
	wanted: readonly WantedContent[],
): Promise<readonly number[]> {
	const numbers: number[] = [];
	for (let from = 0; from < wanted.length; from += AT_ONCE) {
		const portion = wanted.slice(from, from + AT_ONCE);
		const { added, done } = await performAsUser(agent, opener, (batch) =>
			portion.map(({ node, use }): Slot => {
				const name = batch.put(Buffer.from(`${pathOfDescriptor(node)}\0`), 1);
				// mmap(2) refuses a FIFO; nobody waits for its other end
				const flags = (use === "write" ? O.RDWR : O.RDONLY) | O.NONBLOCK | O.NOCTTY | O.CLOEXEC;
				return batch.call("openat", AT_FDCWD, name, flags, 0);
			}),
		);
		numbers.push(...added.map((slot) => Number(done.result(slot))));
	}
	const faults = wanted.flatMap(({ path, use }, i) => {
		const number = numbers[i] ?? -1;
		if (number >= 0) return [];
		const errno = errnoName(number);
		return [{ subject: path, finding: `cannot be opened (${errno})`, expectation: `expected to ${use} it`, errno }];
	});
	const [first] = faults;
	if (first !== undefined)
		refuseAll("ERR_FILE_MISMATCH", "files", faults, remedies[first.errno] ?? "let the user of the process open it");
	return numbers;
}

const remedies: Readonly<Record<string, string>> = {
	ETXTBSY: "end the processes that run the file",
	EROFS: "mount its file system read-write",
	EMFILE: "raise RLIMIT_NOFILE (ulimit -n)",
};
