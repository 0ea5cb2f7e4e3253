import type { TimensEntry } from "../criu/wire/generated/schema.ts";
import type { ProcessClocks } from "../forest/clocks.ts";
import { timensEntry } from "../images/write/clocks.ts";
import { nanosecondsOf } from "../linux/time.ts";

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
