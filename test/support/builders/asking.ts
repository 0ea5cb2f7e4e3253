import type { Ask } from "../../../src/descriptors/ask.ts";
import { unixSightsOf } from "../../../src/descriptors/unix-sights.ts";

/** A stopped process that answers what a test wants, and has nothing else. */
export const asking = (answers: Partial<Ask> = {}): Ask => ({
	pid: 1,
	leadsTo: () => true,
	isMessageQueue: () => false,
	otherName: () => undefined,
	namespace: (name) => `${name}:[1]`,
	sysctl: () => undefined,
	socket: () => ({ words: "a socket" }),
	unix: unixSightsOf([]),
	together: new Set([1]),
	socketFile: async () => undefined,
	messages: async () => [],
	pipe: async () => ({ id: 9, capacity: 65536 }),
	ghost: () => 2,
	object: () => 4,
	watched: async ({ info }) => info.targets.map(({ number }) => number),
	comesAlong: () => true,
	unread: async () => 0,
	find: async (inodes) => inodes.map(() => undefined),
	mountPoint: async () => undefined,
	socketOptions: async (_, asked) => asked.map(() => undefined),
	isFiltered: async () => false,
	socketName: async () => undefined,
	isElsewhere: () => false,
	terminal: async () => ({ id: 0x8803, index: 3, mastered: true }),
	isLost: (number) => number === 8,
	report: () => {},
	...answers,
});
