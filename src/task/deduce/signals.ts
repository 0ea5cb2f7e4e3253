import type { Address } from "../../bytes/address.ts";
import { SIGKILL, SIGNAL_MAX, SIGSTOP } from "../../linux/signal.ts";
import { type Finding, loss } from "../finding.ts";
import type { PartialTask } from "../partial-task.ts";
import type { SignalAction } from "../task.ts";

const DEFAULT = 0n as Address;

/** The default action for every signal: what was caught or ignored is known to the kernel alone. */
export function defaultActions({ threads }: PartialTask, report: (finding: Finding) => void): SignalAction[] {
	const several = threads.length > 1;
	report(
		loss(
			"handlers-default",
			"signal handlers",
			`are not in a core, nor are alternate stacks: SIGTERM, SIGPIPE, SIGUSR1… end the process now, though it may have caught or ignored them${
				several ? "; so do pthread_cancel(3) and set*id(2), which signal the other threads" : ""
			} (a donor, -i, brings them)`,
		),
	);
	return Array.from({ length: SIGNAL_MAX }, (_, i) => i + 1)
		.filter((signal) => signal !== SIGKILL && signal !== SIGSTOP)
		.map((signal) => ({ signal, handler: DEFAULT, flags: 0n, restorer: DEFAULT, mask: 0n }));
}
