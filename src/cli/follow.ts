import { signalName } from "../linux/signal.ts";
import type { WaitStatus } from "../linux/wait.ts";
import type { Restored } from "../restore/restore.ts";
import type { Terminal } from "./terminal.ts";

const passedOn = ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT"] as const;

/**
 * Waits for a restored process, and forwards terminating signals to it.
 *
 * @returns its exit status, or 128 + n when signal n killed it.
 */
export async function follow(restored: Restored, { err }: Pick<Terminal, "err">): Promise<number> {
	const passOn = (signal: NodeJS.Signals): void => {
		try {
			process.kill(restored.pid, signal);
		} catch {
			// it has just ended by itself
		}
	};
	for (const signal of passedOn) process.on(signal, passOn);
	const end: WaitStatus = await restored.wait();
	for (const signal of passedOn) process.off(signal, passOn);
	if (end.kind === "exited") return end.status;
	if (end.kind !== "killed") return 1;
	err(`process ${restored.pid} was killed by ${signalName(end.signal)}\n`);
	return 128 + end.signal;
}
