import { type ErrorCode, refuse } from "../errors.ts";
import { signalName } from "../linux/signal.ts";
import type { WaitStatus } from "../linux/wait.ts";

/**
 * Refuses to go on with a thread that has died, or is about to.
 *
 * @throws NecromancerError of that code.
 */
export function lostThread(tid: number, status: WaitStatus, code: ErrorCode = "ERR_STEP_FAILED"): never {
	const how =
		status.kind === "exited"
			? `ended with status ${status.status}`
			: "signal" in status
				? `${status.kind === "killed" ? "died" : "is dying"} of ${signalName(status.signal)}`
				: "vanished";
	return refuse(code, { subject: `thread ${tid}`, finding: how, expectation: "expected it to be alive" });
}
