import { expect, it } from "vitest";
import { sharedIn } from "../../../../src/cli/show/shared.ts";
import type { Description } from "../../../../src/descriptors/kinds.ts";
import { forestOf } from "../../../../src/forest/forest.ts";
import type { Task } from "../../../../src/forest/task.ts";
import { smallTask } from "../../../support/builders/small-task.ts";

const process = (pid: number, open: readonly Description[], memory: Partial<Task["memory"]>): Task => {
	const { identity, ...task } = smallTask({ open, memory });
	return { ...task, identity: { ...identity, pid } };
};

it("tells what several processes have, and a pipe or a pair once for its ends", () => {
	const objects = [
		{ id: 1, size: 8192n, contents: [] },
		{ id: 2, name: "zone", size: 4096n, contents: [] },
		{ id: 3, size: 4096n, contents: [] },
	];
	const ghost = { id: 5, path: "/tmp/gone", mode: 0o100600, uid: 0, gid: 0, size: 0n, contents: [] };
	const ends = [0, 1].map((flags): Description => ({ kind: "pipe", id: 10 + flags, flags, pipe: { id: 7 } }));
	const pair = [20, 21].map((id): Description => ({ kind: "socket-pair", id, flags: 2, pair: 4 }));
	const log: Description = { kind: "file", id: 30, flags: 1, path: "/tmp/log", position: 0n, unlinked: false };
	const clock: Description = {
		...{ kind: "timerfd", id: 31, flags: 2, clock: 1, ticks: 0n, settings: 0, remaining: 0n, interval: 0n },
	};
	const forest = forestOf([
		process(9, [...ends, ...pair.slice(0, 1), log, clock], { objects, ghosts: [ghost] }),
		process(3, [...ends.slice(1), ...pair.slice(1), log], { objects: objects.slice(0, 2), ghosts: [ghost] }),
		process(4, [log], {}),
	]);
	expect(sharedIn(forest).map(({ kind, id, what, processes }) => `${kind} ${id} ${what}: ${processes}`)).toEqual([
		"memory 1 8K: 9,3",
		"memory 2 memfd zone, 4K: 9,3",
		"deleted file 5 /tmp/gone: 9,3",
		"pipe 7 : 9,3",
		"socket pair 4 : 9,3",
		"description 30 file /tmp/log: 9,3,4",
	]);
});
