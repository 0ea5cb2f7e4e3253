import type { Agent } from "../agent/agent.ts";
import { see } from "../descriptors/kinds.ts";
import { refuse } from "../errors.ts";
import { copyDescriptorsOf } from "../trace/descriptors.ts";
import { lookAt } from "./look.ts";
import type { OpenOf } from "./open-files.ts";
import { type SocketLists, socketLists, socketSights } from "./socket-sights.ts";
import type { LiveTerminals } from "./terminals.ts";
import { unixSights } from "./unix-sockets.ts";

/** What becomes of descriptors that cannot be dumped yet: sockets above all. */
export type MissingDescriptors =
	/** There is no dump. */
	| "error"
	/** /dev/null takes the number. */
	| "null"
	/** The number is free. */
	| "skip";

/**
 * Refuses processes by the names of what they have open, before anything is done to them.
 *
 * @param together All that are dumped, by their ids: what connects them is no reason.
 * @throws NecromancerError ERR_UNSUPPORTED for all that one of them has, ERR_HOST.
 */
export async function requireDumpable(
	agent: Agent,
	processes: readonly OpenOf[],
	policy: MissingDescriptors,
	terminals: LiveTerminals,
	together: readonly number[],
): Promise<void> {
	for (const { pid, open } of processes) terminals.meet(pid, open);
	if (policy !== "error") return;
	const others = { unix: await unixSights(agent, together, processes), together: new Set(together) };
	const listed = socketLists();
	for (const { pid, open } of processes) {
		const look = lookAt(pid, await sightsOf(agent, { pid, open }, listed), terminals, others);
		const refused = open.flatMap((descriptor) => {
			const words = see(descriptor, look).undumpable;
			return words === undefined ? [] : [{ number: descriptor.number, words }];
		});
		if (refused.length > 0) refuseDescriptors(refused, processes.length > 1 ? ` of process ${pid}` : "");
	}
}

function refuseDescriptors(
	refused: readonly { readonly number: number; readonly words: string }[],
	whose: string,
): never {
	const [only] = refused;
	const one = refused.length === 1;
	const numbers = refused.map(({ number }) => number).join(", ");
	return refuse("ERR_UNSUPPORTED", {
		subject: `${one ? `descriptor ${numbers}` : `descriptors ${numbers}`}${whose}`,
		finding: one ? `is ${only?.words}` : refused.map(({ number, words }) => `${number} is ${words}`).join(", "),
		expectation: "which this version cannot dump",
		remedy: "let /dev/null take its place with --missing-fds null, or leave it out with --missing-fds skip",
	});
}

async function sightsOf(agent: Agent, { pid, open }: OpenOf, listed: SocketLists): ReturnType<typeof socketSights> {
	const copies = await copyDescriptorsOf(agent, pid);
	try {
		return await socketSights({ pid, open }, copies, listed);
	} finally {
		await copies.close();
	}
}
