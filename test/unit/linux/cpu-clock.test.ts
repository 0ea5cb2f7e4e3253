import { expect, it } from "vitest";
import { cpuClockOf, numberOfCpuClock } from "../../../src/linux/cpu-clock.ts";

it("knows whose processor time a clock counts", () => {
	// pthread_getcpuclockid(3) of thread 85, clock_getcpuclockid(3) of process 85, and what CLOCK_THREAD_CPUTIME_ID is to the kernel
	expect(cpuClockOf(-682)).toEqual({ id: 85, ofThread: true, which: 2 });
	expect(cpuClockOf(-686)).toEqual({ id: 85, ofThread: false, which: 2 });
	expect(cpuClockOf(-2)).toEqual({ id: 0, ofThread: true, which: 2 });
	// CLOCK_MONOTONIC, CLOCK_THREAD_CPUTIME_ID, and the clock of a device that is open as 5
	for (const clock of [1, 3, (~5 << 3) | 3]) expect(cpuClockOf(clock)).toBeUndefined();
});

it("writes it as it was", () => {
	for (const clock of [-682, -686, -2, -6, -(4_194_304 * 8) - 2])
		expect(numberOfCpuClock(cpuClockOf(clock) ?? { id: -1, ofThread: false, which: 0 })).toBe(clock);
});
