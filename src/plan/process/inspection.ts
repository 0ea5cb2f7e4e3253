import type { Task } from "../../forest/task.ts";
import { PR } from "../../linux/prctl.ts";
import { reportLayout } from "../../program/abi.ts";
import type { CallName } from "../../program/calls.ts";
import { bytesDatum } from "../../program/data.ts";
import type { Context } from "../context.ts";
import type { Part } from "../part.ts";
import { addHearing } from "./hearing.ts";

/**
 * All that it shows of files is there, and it is still the restorer's: it says so and waits, while he looks at what it got. Only
 * when he has is it given to its user. If he is gone, the read ends, and so does it.
 */
export function planInspection(
	{ identity: { pid } }: Pick<Task, "identity">,
	context: Context,
	before: readonly Part[],
): Part {
	const { draft, reportTarget } = context;
	const leader = draft.leader;
	// it was somebody else for a while; now it is nobody's but the restorer's, who may lack CAP_SYS_PTRACE
	if (before.some(changesHands))
		leader.add("inspection", "prctl", [BigInt(PR.SET_DUMPABLE), 1n, 0n, 0n, 0n], "the restorer may look at it");
	const socket = { valueOf: reportTarget };
	const size = BigInt(reportLayout.size);
	const made = bytesDatum("made", reportLayout.encode({ task: BigInt(pid), id: 0n, result: 0n }));
	leader.add("inspection", "write", [socket, made, size], "tells that its files are there", {
		expect: { exactly: size },
	});
	addHearing("inspection", "seen", pid, context, "until they are seen");
	return draft.made();
}

/** The kernel shows a process to root alone that has been somebody else. */
const changesHands = ({ lists }: Part): boolean =>
	lists.some(({ steps }) => steps.some(({ call }) => switches.includes(call)));

/** What an actor switches by. */
const switches: readonly CallName[] = ["setresuid", "setresgid", "setgroups", "capset"];
