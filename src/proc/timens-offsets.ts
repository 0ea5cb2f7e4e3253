import type { Clocks } from "../linux/time.ts";

const NANOSECONDS = 1_000_000_000n;

/** /proc/PID/timens_offsets (kernel/time/namespace.c): what is added to the clocks of the host, nanoseconds. */
export function readTimensOffsets(text: string): Clocks {
	const offset = (clock: string): bigint => {
		const [, seconds = "0", rest = "0"] = new RegExp(`^${clock}\\s+(-?\\d+)\\s+(\\d+)$`, "m").exec(text) ?? [];
		return BigInt(seconds) * NANOSECONDS + BigInt(rest);
	};
	return { monotonic: offset("monotonic"), boottime: offset("boottime") };
}

/** Of {@link timensOffsetsText}, bytes. */
export const TIMENS_OFFSETS_SIZE = 2 * (9 + 1 + 20 + 1 + 9 + 1);

/**
 * What to write there: always as long, so that who reads it from a stream knows when it has all. The kernel passes over
 * blanks, and takes nanoseconds from 0 to 999,999,999 only, for negative offsets too.
 */
export const timensOffsetsText = (offsets: Clocks): string =>
	(["monotonic", "boottime"] as const)
		.map((clock) => {
			const rest = ((offsets[clock] % NANOSECONDS) + NANOSECONDS) % NANOSECONDS;
			const seconds = (offsets[clock] - rest) / NANOSECONDS;
			return `${clock.padEnd(9)} ${seconds.toString().padStart(20)} ${rest.toString().padStart(9)}\n`;
		})
		.join("");
