import type { TimensEntry } from "../criu/wire/generated/schema.ts";
import { caution, type Finding } from "../finding.ts";
import type { ProcessClocks } from "../forest/clocks.ts";
import type { Task } from "../forest/task.ts";
import { timensEntry } from "../images/write/clocks.ts";
import { nanosecondsOf } from "../linux/time.ts";

/**
 * The clocks of the dead processes' tree, which has one time namespace: the latest, for nobody can live with a clock that goes back.
 *
 * @returns `"donor"` where the donor's stay; nothing where those of the host are wanted.
 */
export function clocksOfTree(
	deads: readonly { readonly task: Pick<Task, "identity" | "clocks"> }[],
	donor: TimensEntry,
	processes: number,
	report: (finding: Finding) => void,
): ProcessClocks | "donor" | undefined {
	const told = deads.flatMap(({ task: { clocks } }) => (clocks === undefined ? [] : [clocks]));
	if (told.length === 0) return undefined;
	const latest = told.reduce((late, clocks) => (clocks.monotonic > late.monotonic ? clocks : late));
	if (latest.witness === "donor") return "donor";
	if (processes === deads.length) return latest;
	const ahead = latest.monotonic - nanosecondsOf(donor.monotonic);
	const subject = "the others' clock";
	if (ahead < 0n) {
		const text = "is later than that of the dead, who get it too: for nobody time goes back";
		report(caution("clock", subject, text));
		return "donor";
	}
	if (ahead > SAME)
		report(caution("clock", subject, `goes on from that of the dead: ${ahead / SAME} seconds later than the donor's`));
	return latest;
}

/** Differences up to this are rounding, nanoseconds: patching again changes nothing. */
const SAME = 1_000_000_000n;

/**
 * The time namespace image with the dead process's clocks. The donor's would be earlier or later; after a step backwards
 * absolute deadlines are far in the future, and threads sleep on.
 */
export function patchTimens(donor: TimensEntry, clocks: ProcessClocks): TimensEntry {
	const apart = nanosecondsOf(donor.monotonic) - clocks.monotonic;
	const { origin } = timensEntry(clocks);
	const same = donor.origin?.boot_id === origin?.boot_id && apart < SAME && apart > -SAME;
	return same ? donor : timensEntry(clocks, donor);
}
