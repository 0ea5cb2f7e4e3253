import { expect, it } from "vitest";
import { type Finding, loss } from "../../../../src/finding.ts";
import type { PartialThread } from "../../../../src/forest/partial-task.ts";
import { movedClock } from "../../../../src/understand/donor/timer-clocks.ts";
import { smallThread } from "../../../support/builders/small-task.ts";

const pair = (dead: number, donor: number, own = true) => ({
	dead: { tid: dead } as PartialThread,
	donor: smallThread({ tid: donor }),
	own,
});
const pairs = [pair(100, 83), pair(102, 85), pair(103, 83, false)];
const timer = { id: 1, signal: 10, notify: 4, value: 0n, remaining: 0n, interval: 0n, overrun: 0 };

function move(clock: number): { readonly clock: number; readonly findings: readonly Finding[] } {
	const findings: Finding[] = [];
	const ids = { donor: 83, dead: 100 };
	return { clock: movedClock({ ...timer, clock }, ids, pairs, (finding) => findings.push(finding)), findings };
}

it("names the dead process and its threads", () => {
	// (~85 << 3) | 6, and so on
	expect(move(-688 + 6)).toEqual({ clock: -824 + 6, findings: [] });
	expect(move(-672 + 6)).toEqual({ clock: -808 + 6, findings: [] });
	expect(move(-672 + 2)).toEqual({ clock: -808 + 2, findings: [] });
	for (const clock of [0, 1, 2, 3, 7, -2, -6]) expect(move(clock)).toEqual({ clock, findings: [] });
});

it("counts the whole process's time for a thread that has none", () => {
	expect(move((~99 << 3) | 6)).toEqual({
		clock: (~100 << 3) | 2,
		findings: [
			loss(
				"timers-from-donor",
				"timer 1",
				"counted the processor time of thread 99 of the donor's, which has no counterpart; it counts that of the whole process",
			),
		],
	});
});
