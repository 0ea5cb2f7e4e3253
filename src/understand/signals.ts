import { address, hex } from "../bytes/address.ts";
import { type Finding, loss, note } from "../finding.ts";
import type { PartialTask } from "../forest/partial-task.ts";
import type { SignalAction } from "../forest/task.ts";
import { SIG_DFL, SIG_IGN, SIGKILL, SIGNAL_MAX, SIGSTOP, signalName } from "../linux/signal.ts";
import type { MovedDonor } from "./donor/moved-donor.ts";
import type { Evidence } from "./evidence/evidence.ts";
import { believed } from "./witnesses.ts";

const DEFAULT = address(0n);

/**
 * What signals do. What was caught or ignored is known to the kernel alone: a donor had set the same; else every signal has its
 * default action, but for those that libc uses itself.
 */
export function understandSignalActions(
	{ threads }: PartialTask,
	evidence: Evidence,
	donor: MovedDonor | undefined,
	report: (finding: Finding) => void,
): SignalAction[] {
	const lent = donor === undefined ? undefined : lentActions(donor, report);
	// a program that has no threads yet may not have asked for libc's handlers
	const libcs = new Map(
		(lent === undefined ? evidence.handlers : []).map((action): [number, SignalAction] => [action.signal, action]),
	);
	if (lent === undefined) reportDefaults(threads.length > 1, libcs.size > 0, report);
	return Array.from({ length: SIGNAL_MAX }, (_, i) => i + 1)
		.filter((signal) => signal !== SIGKILL && signal !== SIGSTOP)
		.map(
			(signal) =>
				believed({
					donor: () => lent?.get(signal),
					default: () => libcs.get(signal) ?? { signal, handler: DEFAULT, flags: 0n, restorer: DEFAULT, mask: 0n },
				}).value,
		);
}

function reportDefaults(threaded: boolean, libcs: boolean, report: (finding: Finding) => void): void {
	if (libcs)
		report(
			note(
				"handlers-deduced",
				"signals of libc",
				"pthread_cancel(3) and set*id(2) reach threads as glibc's own code says",
			),
		);
	report(
		loss(
			"handlers-default",
			"signal handlers",
			`are not in a core, nor are alternate stacks: SIGTERM, SIGPIPE, SIGUSR1… end the process now, though it may have caught or ignored them${
				threaded && !libcs ? "; so do pthread_cancel(3) and set*id(2), which signal the other threads" : ""
			} (a donor, -i, brings them)`,
		),
	);
}

/**
 * The donor's handlers at the dead process's addresses. A handler without a place there becomes the default action, and
 * is reported: a jump to a foreign address would be worse.
 */
function lentActions({ task, moved }: MovedDonor, report: (finding: Finding) => void): Map<number, SignalAction> {
	let carried = 0;
	const actions = task.signalActions.map((action): SignalAction => {
		const restorer = action.restorer === 0n ? action.restorer : moved.address(action.restorer)?.address;
		const custom = action.handler !== SIG_DFL && action.handler !== SIG_IGN;
		const handler = custom ? moved.address(action.handler)?.address : action.handler;
		if (handler !== undefined && restorer !== undefined) {
			if (custom) carried++;
			return { ...action, handler, restorer };
		}
		if (!custom) return { ...action, restorer: restorer ?? address(0n) };
		report(
			loss(
				"address-unmapped",
				signalName(action.signal),
				`${handler === undefined ? "handler" : "restorer"} ${hex(handler === undefined ? action.handler : action.restorer)} of the donor has no place here; the default action is set`,
			),
		);
		return { ...action, handler: address(SIG_DFL), restorer: address(0n), flags: 0n };
	});
	if (carried > 0)
		report(
			note(
				"handlers-from-donor",
				`${carried} signal handler${carried === 1 ? "" : "s"}`,
				"as the donor had set them, moved to this layout",
			),
		);
	return new Map(actions.map((action) => [action.signal, action]));
}
