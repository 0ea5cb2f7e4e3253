import { refuse } from "../errors.ts";
import { signalName } from "../linux/signal.ts";
import type { WaitStatus } from "../linux/wait.ts";

/** @throws NecromancerError ERR_STEP_FAILED for a thread that has died, or is about to. */
export function lostThread(tid: number, status: WaitStatus): never {
	const how =
		status.kind === "exited"
			? `ended with status ${status.status}`
			: "signal" in status
				? `${status.kind === "killed" ? "died" : "is dying"} of ${signalName(status.signal)}`
				: "vanished";
	return refuse("ERR_STEP_FAILED", { subject: `thread ${tid}`, finding: how, expectation: "expected it to be alive" });
}
