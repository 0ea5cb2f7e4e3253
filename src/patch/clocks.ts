import type { TimensEntry } from "../criu/wire/generated/schema.ts";
import { nanosecondsOf } from "../linux/time.ts";
import type { ProcessClocks } from "../task/clocks.ts";
import { timensEntry } from "../task/to-images/clocks.ts";

/** So far two reckonings of the same time may be apart, nanoseconds: a second patch changes nothing. */
const SAME = 1_000_000_000n;

/**
 * The time namespace image: from its readings the process goes on. Those of the donor would be before its death, or after: a
 * clock that runs backwards leaves it asleep until a time far away.
 */
export function patchTimens(donor: TimensEntry, clocks: ProcessClocks): TimensEntry {
	const apart = nanosecondsOf(donor.monotonic) - clocks.monotonic;
	const { origin } = timensEntry(clocks);
	const same = donor.origin?.boot_id === origin?.boot_id && apart < SAME && apart > -SAME;
	return same ? donor : timensEntry(clocks, donor);
}
