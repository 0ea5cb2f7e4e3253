import type { TimensEntry, Timespec } from "../criu/generated/schema.ts";
import type { Clocks } from "../linux/time.ts";

const SECOND = 1_000_000_000n;

/**
 * The time namespace image. The process resumes at the donor's clock readings, which must not lie before its own death:
 * a monotonic clock that runs backwards leaves it asleep until a deadline far away. A core holds no reading; when it
 * was written in this boot, this host's clocks at that time are the bound, rounded up so that a second patch changes nothing.
 */
export function patchTimens(donor: TimensEntry, atDeath: Clocks | undefined): TimensEntry | undefined {
	if (atDeath === undefined) return undefined;
	const monotonic = later(donor.monotonic, atDeath.monotonic);
	const boottime = later(donor.boottime, atDeath.boottime);
	if (monotonic === undefined && boottime === undefined) return undefined;
	return { ...donor, monotonic: monotonic ?? donor.monotonic, boottime: boottime ?? donor.boottime };
}

const later = (reading: Timespec, bound: bigint): Timespec | undefined =>
	reading.tv_sec * SECOND + reading.tv_nsec >= bound
		? undefined
		: { ...reading, tv_sec: bound / SECOND + 2n, tv_nsec: 0n };
