import type { ImageDir } from "../../criu/image-dir.ts";
import type { TimensEntry, Timespec } from "../../criu/wire/generated/schema.ts";
import { refuse } from "../../errors.ts";
import { LATEST_CLOCK, type ProcessClocks } from "../../forest/clocks.ts";
import type { Task } from "../../forest/task.ts";
import { nanosecondsOf } from "../../linux/time.ts";

/** The name of the time namespace image; CRIU numbers it, and writes one at most. */
export const timensName = (dir: ImageDir): string | undefined =>
	dir.names.find((name) => /^timens-\d+\.img$/.test(name));

/**
 * Readings of the clocks at the dump; nothing where there is no such image, as CRIU leaves it to the host's clocks then.
 *
 * @throws NecromancerError ERR_IMAGE_CORRUPT for what no clock shows.
 */
export function clocksFromImages(dir: ImageDir): Pick<Task, "clocks"> {
	const name = timensName(dir);
	if (name === undefined) return {};
	return { clocks: clocksFrom(dir.one(name, "timens"), `${dir.path}/${name}`) };
}

function clocksFrom({ monotonic, boottime, realtime, origin }: TimensEntry, subject: string): ProcessClocks {
	return {
		monotonic: reading(monotonic, "monotonic", subject),
		boottime: reading(boottime, "boottime", subject),
		witness: "read",
		...(realtime === undefined ? {} : { realtime: nanosecondsOf(realtime) }),
		...(origin === undefined
			? {}
			: {
					origin: {
						boot: origin.boot_id,
						offsets: { monotonic: origin.monotonic_offset, boottime: origin.boottime_offset },
					},
				}),
	};
}

function reading(time: Timespec, field: string, subject: string): bigint {
	const nanoseconds = nanosecondsOf(time);
	if (nanoseconds <= LATEST_CLOCK && time.tv_nsec < 1_000_000_000n) return nanoseconds;
	return refuse("ERR_IMAGE_CORRUPT", {
		subject,
		finding: `${field} is ${time.tv_sec} s and ${time.tv_nsec} ns`,
		expectation: `expected at most ${LATEST_CLOCK / 1_000_000_000n} s, and less than a second beside`,
	});
}
