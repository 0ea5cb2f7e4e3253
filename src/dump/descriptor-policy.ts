import type { Agent } from "../agent/agent.ts";
import type { OpenDescriptor } from "../descriptors/ask.ts";
import { see } from "../descriptors/kinds.ts";
import { refuse } from "../errors.ts";
import { copyDescriptorsOf } from "../trace/descriptors.ts";
import { lookAt } from "./look.ts";
import { socketSights } from "./socket-sights.ts";

/** What becomes of descriptors that cannot be dumped yet: sockets above all. */
export type MissingDescriptors =
	/** There is no dump. */
	| "error"
	/** /dev/null takes the number. */
	| "null"
	/** The number is free. */
	| "skip";

/**
 * Refuses a process by the names of what it has open, before anything is done to it.
 *
 * @throws NecromancerError ERR_UNSUPPORTED for all of them at once; ERR_HOST.
 */
export async function requireDumpable(
	agent: Agent,
	pid: number,
	open: readonly OpenDescriptor[],
	policy: MissingDescriptors,
): Promise<void> {
	if (policy !== "error") return;
	const look = lookAt(pid, await sightsOf(agent, pid, open));
	const refused = open.flatMap((descriptor) => {
		const words = see(descriptor, look).undumpable;
		return words === undefined ? [] : [{ number: descriptor.number, words }];
	});
	const [only] = refused;
	if (only === undefined) return;
	const one = refused.length === 1;
	const numbers = refused.map(({ number }) => number).join(", ");
	refuse("ERR_UNSUPPORTED", {
		subject: one ? `descriptor ${numbers}` : `descriptors ${numbers}`,
		finding: one ? `is ${only.words}` : refused.map(({ number, words }) => `${number} is ${words}`).join(", "),
		expectation: "which this version cannot dump",
		remedy: "let /dev/null take its place with --missing-fds null, or leave it out with --missing-fds skip",
	});
}

async function sightsOf(agent: Agent, pid: number, open: readonly OpenDescriptor[]): ReturnType<typeof socketSights> {
	const copies = await copyDescriptorsOf(agent, pid);
	try {
		return await socketSights(pid, open, copies);
	} finally {
		await copies.close();
	}
}
