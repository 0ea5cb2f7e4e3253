import type { SignalAction } from "../../forest/task.ts";
import { flagWords } from "../../linux/flag-words.ts";
import { signalName } from "../../linux/signal.ts";
import { section } from "../section.ts";
import { tableLines } from "../table.ts";
import type { Paint } from "../terminal.ts";
import { type NamedPlace, placeText } from "./places.ts";
import { maskText } from "./threads.ts";

/** `sa_flags` (arch/x86/include/uapi/asm/signal.h, include/uapi/asm-generic/signal-defs.h). */
const SA = {
	SA_NOCLDSTOP: 0x1,
	SA_NOCLDWAIT: 0x2,
	SA_SIGINFO: 0x4,
	SA_UNSUPPORTED: 0x400,
	SA_EXPOSE_TAGBITS: 0x800,
	SA_RESTORER: 0x400_0000,
	SA_ONSTACK: 0x800_0000,
	SA_RESTART: 0x1000_0000,
	SA_NODEFER: 0x4000_0000,
	SA_RESETHAND: 0x8000_0000,
} as const;

/** Names of a flag word. 64 bits, of which the upper half is unused. */
export const actionFlags = (flags: bigint): string[] => {
	const low = flags & 0xffff_ffffn;
	const top = (low >> 31n) & 1n;
	// bit operations on numbers are of 31 bits and a sign
	const words = flagWords(Number(low & 0x7fff_ffffn), lowFlags);
	return [
		...words,
		...(top === 1n ? ["SA_RESETHAND"] : []),
		...(flags === low ? [] : [`0x${(flags - low).toString(16)}`]),
	];
};

const { SA_RESETHAND: _, ...lowFlags } = SA;

const DEFAULT = 0n;
const IGNORE = 1n;

/** What handles a signal, for programs too. */
export const dispositionOf = ({ handler }: SignalAction): "default" | "ignore" | "handler" =>
	handler === DEFAULT ? "default" : handler === IGNORE ? "ignore" : "handler";

/** The signals that are not left to the default action. */
export function handlersText(actions: readonly SignalAction[], places: readonly NamedPlace[], paint: Paint): string {
	const own = actions.filter((action) => dispositionOf(action) !== "default");
	const lines = tableLines(
		"llll",
		own.map((action) => [
			signalName(action.signal),
			dispositionOf(action) === "ignore" ? "ignored" : placeText(action.handler, places),
			actionFlags(action.flags)
				.filter((flag) => flag !== "SA_RESTORER")
				.join("|"),
			action.mask === 0n ? "" : { text: `blocks ${maskText(action.mask)}`, paint: paint.dim },
		]),
	);
	return section("signals", `${own.length} not left to the default`, lines, paint);
}
