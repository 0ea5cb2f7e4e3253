import { expect, it } from "vitest";
import type { Description } from "../../../../src/descriptors/kinds.ts";
import { type Finding, note } from "../../../../src/finding.ts";
import { withProvenTargets } from "../../../../src/understand/donor/epoll-targets.ts";
import { smallTask } from "../../../support/builders/small-task.ts";

type Target = readonly [number: number, data: bigint];

const targetsOf = (targets: readonly Target[]) => targets.map(([number, data]) => ({ number, events: 1, data }));

/** Descriptor 0 is an epoll instance, 1 to 3 are counters. */
function watch(lent: readonly Target[], proven: readonly Target[], complete: boolean) {
	const counter = (id: number): Description => ({ kind: "eventfd", id, flags: 2, counter: 0n });
	const epoll: Description = { kind: "epoll", id: 1, flags: 2, targets: targetsOf(lent) };
	const { files } = smallTask({ open: [epoll, counter(2), counter(3), counter(4)] });
	const what = { kind: "epoll", targets: targetsOf(proven), ...(complete ? { complete } : {}) } as const;
	const guess = { number: 0, what, flags: 0, closeOnExec: true, why: "libuv's loop 1" };
	const findings: Finding[] = [];
	const after = withProvenTargets(files, [guess], (finding) => findings.push(finding)).descriptors[0]?.description;
	return { targets: after?.kind === "epoll" ? after.targets.map(({ number, data }) => [number, data]) : [], findings };
}

it("believes a loop's own list, but for what is not open", () => {
	expect(
		watch(
			[
				[1, 1n],
				[2, 2n],
			],
			[
				[3, 3n],
				[1, 1n],
				[9, 9n],
			],
			true,
		),
	).toEqual({
		targets: [
			[1, 1n],
			[3, 3n],
		],
		findings: [note("epoll", "epoll descriptor 0", "watches 1, 3, as the core says (libuv's loop 1)")],
	});
});

it("adds to the donor's what the core knows, and its word goes first", () => {
	expect(
		watch(
			[
				[1, 0x77n],
				[2, 2n],
			],
			[[1, 0x99n]],
			false,
		),
	).toMatchObject({
		targets: [
			[1, 0x99n],
			[2, 2n],
		],
	});
});

it("says nothing where both are of one mind", () => {
	expect(watch([[1, 1n]], [[1, 1n]], true)).toEqual({ targets: [[1, 1n]], findings: [] });
	expect(watch([], [], true)).toEqual({ targets: [], findings: [] });
});
