import type { TimensEntry } from "../../criu/wire/generated/schema.ts";
import type { ProcessClocks } from "../../forest/clocks.ts";
import { timespecOf } from "../../linux/time.ts";

/**
 * Readings of the clocks, from which CRIU makes the offsets of a new time namespace; and whose clocks they were, which it
 * passes over.
 *
 * @param base what the image said before: how far its clocks are apart holds where only one of them is known.
 */
export function timensEntry({ monotonic, boottime, realtime, origin }: ProcessClocks, base?: TimensEntry): TimensEntry {
	return {
		monotonic: timespecOf(monotonic),
		boottime: timespecOf(boottime ?? monotonic + suspendedIn(base)),
		...(origin === undefined
			? {}
			: {
					origin: {
						boot_id: origin.boot,
						monotonic_offset: origin.offsets.monotonic,
						boottime_offset: origin.offsets.boottime,
					},
				}),
		...(realtime === undefined ? {} : { realtime: timespecOf(realtime) }),
	};
}

/** How long that host had been suspended, nanoseconds: CLOCK_BOOTTIME is ahead by so much. */
function suspendedIn(base: TimensEntry | undefined): bigint {
	if (base === undefined) return 0n;
	const { monotonic, boottime } = base;
	const ahead = (boottime.tv_sec - monotonic.tv_sec) * 1_000_000_000n + boottime.tv_nsec - monotonic.tv_nsec;
	return ahead > 0n ? ahead : 0n;
}
