import type { ChildProcess } from "node:child_process";
import type { Range } from "../bytes/range.ts";
import { requireOwnProc } from "../proc/require-own-proc.ts";
import type { Agent } from "./agent.ts";
import { agentElf } from "./agent-elf.ts";
import { type Blob, blob as ourBlob } from "./blob.ts";
import { initialise } from "./initialise.ts";
import { launch, type Streams } from "./launch.ts";
import { AGENT_ROOM, agentLayout } from "./layout.ts";
import { connectAgent } from "./protocol.ts";

export interface AgentOptions {
	/** Where its standard streams lead; its tasks inherit them. To ours, unless said otherwise. */
	readonly streams?: Streams;
	/** Files of ours that it has open too, from FIRST_INPUT_FD on. They are not opened again. */
	readonly inputs?: readonly number[];
	/** Whose session it is in: its own, unless it makes jobs of ours. There it is in a process group of its own. */
	readonly session?: "own" | "callers";
	/** Another blob than ours, for tests. */
	readonly blob?: Blob;
	/** Directories to run from, in order of preference, for tests. */
	readonly places?: readonly string[];
}

/**
 * Starts an agent in a hole: page aligned, more than {@link AGENT_ROOM} bytes, above vm.mmap_min_addr and away from where the
 * kernel puts stacks and vdso. All of the hole is memory afterwards: read, write, execute.
 *
 * @throws NecromancerError ERR_HOST where it cannot be run, or not there.
 */
export async function startAgent(hole: Range, options: AgentOptions = {}): Promise<Agent> {
	requireOwnProc();
	const blob = options.blob ?? ourBlob;
	const layout = agentLayout(hole);
	const { inputs = [] } = options;
	const program = agentElf(blob, hole.start, AGENT_ROOM);
	for (let attempt = 1; ; attempt += 1) {
		const child: ChildProcess = await launch(
			program,
			options.streams ?? "inherit",
			options.places,
			inputs,
			options.session,
		);
		const agent = connectAgent(child, blob, layout);
		try {
			const ready = { ...agent, ...(await initialise(agent, blob, inputs.length)) };
			if (options.session === "callers") await agent.call("setpgid", 0, 0);
			return ready;
		} catch (cause) {
			await agent.close();
			// By chance its stack or vdso lay where the hole is. Next time they lie elsewhere.
			if (attempt === ATTEMPTS) throw cause;
		}
	}
}

const ATTEMPTS = 4;
