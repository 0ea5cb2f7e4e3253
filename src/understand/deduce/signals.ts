import { address } from "../../bytes/address.ts";
import { type Finding, loss, note } from "../../finding.ts";
import type { PartialTask } from "../../forest/partial-task.ts";
import type { SignalAction } from "../../forest/task.ts";
import { SIGKILL, SIGNAL_MAX, SIGSTOP } from "../../linux/signal.ts";
import { libcHandlers } from "../evidence/libc-handlers.ts";
import type { OpenObject } from "../evidence/program-objects.ts";

const DEFAULT = address(0n);

/** The default action for every signal, as what was caught or ignored is known to the kernel alone; libc's own are known. */
export function deduceSignalActions(
	{ threads, memory }: PartialTask,
	open: OpenObject,
	report: (finding: Finding) => void,
): SignalAction[] {
	const libcs = new Map(libcHandlers(memory, open).map((action) => [action.signal, action]));
	if (libcs.size > 0)
		report(
			note(
				"handlers-deduced",
				"signals of libc",
				"pthread_cancel(3) and set*id(2) reach threads as glibc's own code says",
			),
		);
	const several = threads.length > 1 && libcs.size === 0;
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
		.map((signal) => libcs.get(signal) ?? { signal, handler: DEFAULT, flags: 0n, restorer: DEFAULT, mask: 0n });
}
