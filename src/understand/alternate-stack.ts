import { hex, plus } from "../bytes/address.ts";
import { caution, type Finding, loss, note } from "../finding.ts";
import type { PartialThread } from "../forest/partial-task.ts";
import type { AlternateStack, Thread } from "../forest/task.ts";
import { signalName } from "../linux/signal.ts";
import type { Evidence } from "./evidence/evidence.ts";
import type { SignalFrame } from "./evidence/signal-frame.ts";
import type { Carry } from "./thread-records.ts";
import { believed } from "./witnesses.ts";

/**
 * The stack of a thread's handlers: as the frame of a handler that was left had it, else as that of the handler it is in has it or Go's
 * runtime, else where the donor's thread had one.
 */
export function understandAlternateStack(
	thread: PartialThread,
	{ frameOf, goStacks }: Pick<Evidence, "frameOf" | "goStacks">,
	lent: { readonly donor: Thread; readonly carry: Carry } | undefined,
	report: (finding: Finding) => void,
): AlternateStack | undefined {
	const subject = `thread ${thread.tid}`;
	const frame = frameOf(thread);
	if (frame !== undefined) report(frameFinding(frame, subject));
	return believed({
		core: () => thread.alternateStack,
		evidence: () => frame?.alternateStack ?? goStacks.get(thread.tid),
		donor: () => lent && carried(lent.donor.alternateStack, lent.carry, subject, report),
		default: () => undefined,
	}).value;
}

function frameFinding({ at, signal, alternateStack }: SignalFrame, subject: string): Finding {
	const where =
		alternateStack === undefined
			? "which runs on its own stack"
			: `with a signal stack at ${hex(alternateStack.base)}-${hex(plus(alternateStack.base, alternateStack.size))}`;
	return note(
		"thread-deduced",
		subject,
		`is inside a handler${signal === undefined ? "" : ` of ${signalName(signal)}`} (frame at ${hex(at)}), ${where}`,
	);
}

function carried(
	stack: AlternateStack | undefined,
	carry: Carry,
	subject: string,
	report: (finding: Finding) => void,
): AlternateStack | undefined {
	if (stack === undefined) return undefined;
	const base = carry(stack.base);
	const last = carry(plus(stack.base, stack.size - 1n));
	if (base === undefined || last === undefined || last.address - base.address !== stack.size - 1n) {
		report(
			loss(
				"alternate-stack",
				subject,
				`the donor's signal stack at ${hex(stack.base)} has no place here; handlers run on the thread's own stack`,
			),
		);
		return undefined;
	}
	if (base.by === "heap" || base.by === "shape")
		report(
			caution(
				"alternate-stack",
				subject,
				`signal stack assumed at ${hex(base.address)}, by the donor's ${base.by === "heap" ? "heap" : "mappings"}`,
			),
		);
	return { ...stack, base: base.address };
}
