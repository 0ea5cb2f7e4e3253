import { address, hex } from "../../bytes/address.ts";
import { signalName, signalSetText } from "../../linux/signal.ts";
import { escapeText } from "../escape-text.ts";
import { fold } from "../fold.ts";
import { longSection } from "../section.ts";
import { type Cell, linesOf } from "../table.ts";
import type { Paint } from "../terminal.ts";
import { callText } from "./call.ts";
import { type NamedPlace, placeText } from "./places.ts";
import type { ThreadView } from "./view.ts";

/**
 * The threads, one line each: id, name, what it was doing, where; then masks, and registers when asked for.
 *
 * @param more further lines on a thread, shown with its registers.
 */
export function* threadsText(
	threads: readonly ThreadView[],
	places: readonly NamedPlace[],
	paint: Paint,
	verbose: boolean,
	more: (tid: number) => readonly string[] = () => [],
): Generator<string, void, undefined> {
	const { head, hidden, tail } = fold(threads, verbose);
	const shown = [...head, ...tail];
	const rows = linesOf("rlll", shown, (thread) => rowOf(thread, places, paint, threads.length > 1));
	function* lines(): Generator<string, void, undefined> {
		for (const [i, thread] of shown.entries()) {
			if (i === head.length && hidden.length > 0) yield paint.dim(`  … ${hidden.length} more (-v shows them)`);
			yield rows.next().value ?? "";
			yield* signalLines(thread, paint);
			if (!verbose) continue;
			for (const line of thread.lines()) yield `      ${line}`;
			for (const line of more(thread.tid)) yield `      ${line}`;
		}
	}
	yield* longSection("threads", `${threads.length}`, lines(), paint);
}

function rowOf(
	{ tid, name, died, ip, call }: ThreadView,
	places: readonly NamedPlace[],
	paint: Paint,
	several: boolean,
): Cell[] {
	const doing = call === undefined ? [] : [call === "none" ? "running" : `in ${callText(call)}`];
	return [
		died ? { text: `${tid}`, paint: paint.red } : `${tid}`,
		name === undefined ? "" : escapeText(name),
		`${placeText(address(ip), places)}`,
		[...doing, ...(died && several ? ["took the signal"] : [])].join(", "),
	];
}

function signalLines({ blocked = 0n, pending, shadowStack }: ThreadView, paint: Paint): string[] {
	return [
		...(blocked === 0n ? [] : [`blocked ${maskText(blocked)}`]),
		...(pending.length === 0 ? [] : [`pending ${pending.map(signalName).join(", ")}`]),
		...(shadowStack === undefined ? [] : [`shadow stack pointer ${hex(shadowStack)}`]),
	].map((line) => `      ${paint.dim(line)}`);
}

const EVERY = (1n << 64n) - 1n;

/** What masks commonly are: a few signals, or all but a few. */
export const maskText = (mask: bigint): string => {
	const missing = ~mask & EVERY & ~UNBLOCKABLE;
	const few = signalSetText(missing).split(", ").length;
	return few < 16 ? (missing === 0n ? "every signal" : `all but ${signalSetText(missing)}`) : signalSetText(mask);
};

/** SIGKILL and SIGSTOP, which the kernel takes out of every mask. */
const UNBLOCKABLE = (1n << 8n) | (1n << 18n);
