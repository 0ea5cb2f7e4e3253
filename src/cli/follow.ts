import { signalName } from "../linux/signal.ts";
import type { WaitStatus } from "../linux/wait.ts";
import type { Job } from "../restore/job.ts";
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
	if (restored.job !== undefined) await followJob(restored, restored.job);
	const end: WaitStatus = await restored.wait();
	for (const signal of passedOn) process.off(signal, passOn);
	if (end.kind === "exited") return end.status;
	if (end.kind !== "killed") return 1;
	err(`process ${restored.pid} was killed by ${signalName(end.signal)}\n`);
	return 128 + end.signal;
}

/** As a shell has a job in the foreground: when it stops, so do we, and our shell has the terminal; when we go on, so does it. */
async function followJob({ pid, stop }: Restored, job: Job): Promise<void> {
	// a keeper of the terminal's settings that is not in the foreground would be stopped for them
	const ignore = (): void => {};
	process.on("SIGTTOU", ignore);
	while ((await stop()) !== undefined) {
		await job.take();
		process.kill(process.pid, "SIGSTOP");
		// here we have been told to go on
		await job.give();
		process.kill(-pid, "SIGCONT");
	}
	await job.take();
	process.off("SIGTTOU", ignore);
}
