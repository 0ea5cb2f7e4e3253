import { address, hex } from "../../bytes/address.ts";
import { type Finding, loss, note } from "../../finding.ts";
import type { SignalAction, Task } from "../../forest/task.ts";
import { SIG_DFL, SIG_IGN, signalName } from "../../linux/signal.ts";
import type { Rebase } from "../donor/rebase.ts";

/**
 * The donor's handlers at the dead process's addresses. A handler without a place there becomes the default action, and
 * is reported: a jump to a foreign address would be worse.
 */
export function completeSignalActions(donor: Task, moved: Rebase, report: (finding: Finding) => void): SignalAction[] {
	let carried = 0;
	const actions = donor.signalActions.map((action): SignalAction => {
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
	return actions;
}
