import { expect, it } from "vitest";
import type { UserRegs } from "../../../../src/arch/x86-64/registers.ts";
import type { Description } from "../../../../src/descriptors/kinds.ts";
import type { DescriptorGuess } from "../../../../src/descriptors/stand-ins.ts";
import { caution, type Finding, loss, note } from "../../../../src/finding.ts";
import { movedNumbers, withNumbers } from "../../../../src/understand/donor/descriptor-numbers.ts";
import { waitsOf } from "../../../../src/understand/evidence/waits.ts";
import { smallTask, smallThread } from "../../../support/builders/small-task.ts";

const NR = { read: 0n, epoll_wait: 232n, accept: 43n, futex: 202n };
const EINTR = 0xffff_ffff_ffff_fffcn;

/** A thread that sleeps in a call on a descriptor. */
type Sleeper = readonly [call: keyof typeof NR, descriptor: number, count?: bigint];

const registersOf = ([call, descriptor, count = 0n]: Sleeper): UserRegs =>
	({
		...smallThread().registers,
		orig_ax: NR[call],
		ax: EINTR,
		di: BigInt(descriptor),
		dx: count,
		r10: 0n,
	}) as UserRegs;

const common = { flags: 2 } as const;
const make: Readonly<Record<string, (id: number) => Description>> = {
	file: (id) => ({ ...common, kind: "file", id, path: "/dev/null", position: 0n, unlinked: false }),
	epoll: (id) => ({ ...common, kind: "epoll", id, targets: [] }),
	eventfd: (id) => ({ ...common, kind: "eventfd", id, counter: 0n }),
	timerfd: (id) => ({ ...common, kind: "timerfd", id, clock: 1, ticks: 0n, settings: 0, remaining: 0n, interval: 0n }),
	"unix-socket": (id) => ({
		...{ ...common, kind: "unix-socket", id, inode: id, group: id, type: 1, state: 7, backlog: 0, shutdown: 0 },
		...{ options: {}, timeouts: { send: 0n, receive: 0n }, queue: [] },
	}),
};

/** @param open what the donor has, by kind, from 0 on. */
function compare(
	open: readonly string[],
	theirs: readonly Sleeper[],
	own: readonly Sleeper[],
	proven: readonly DescriptorGuess[] = [],
) {
	const donor = smallTask({
		open: open.map((kind, id) => make[kind]?.(id) ?? { ...common, kind: "unknown", id }),
		threads: theirs.map((sleeper, i) => smallThread({ tid: 500 + i, registers: registersOf(sleeper) })),
	});
	const calls = own.map((sleeper, i) => ({ tid: 900 + i, call: sleeper[0], registers: registersOf(sleeper) }));
	const waits = waitsOf(calls, { read: () => undefined });
	const findings: Finding[] = [];
	const numbers = movedNumbers(waits, donor, proven, (finding) => findings.push(finding));
	const after = withNumbers(donor, numbers).files.descriptors.map(
		({ number, description }) => `${number} ${description.kind}`,
	);
	return { numbers: Object.fromEntries(numbers), after, findings };
}

const FILES = ["file", "file", "file"];

it("moves nothing where what threads slept in fits the donor", () => {
	const open = [...FILES, "epoll", "eventfd"];
	const own: Sleeper[] = [
		["epoll_wait", 3],
		["read", 4, 8n],
		["futex", 0],
	];
	expect(compare(open, [["epoll_wait", 3]], own)).toMatchObject({ numbers: {}, findings: [] });
	// opened by the dead process alone
	expect(compare(open, [["epoll_wait", 3]], [["accept", 9]])).toMatchObject({ numbers: {}, findings: [] });
});

it("follows who sleeps in the same call, and keeps the order of the others", () => {
	// a program of GHC: its ticker had opened its timer first
	const theirs: Sleeper[] = [
		["epoll_wait", 3],
		["read", 7, 8n],
	];
	const own: Sleeper[] = [
		["epoll_wait", 4],
		["read", 3, 8n],
	];
	expect(compare([...FILES, "epoll", "eventfd", "eventfd", "eventfd", "timerfd"], theirs, own)).toEqual({
		numbers: { 3: 4, 4: 5, 5: 6, 6: 7, 7: 3 },
		after: ["0 file", "1 file", "2 file", "3 timerfd", "4 epoll", "5 eventfd", "6 eventfd", "7 eventfd"],
		findings: [
			note(
				"files-from-donor",
				"numbers of descriptors",
				"the donor's 3 is 4, the donor's 4 is 5, the donor's 5 is 6, the donor's 6 is 7, the donor's 7 is 3, as threads sleep in the same calls in both",
			),
		],
	});
});

it("moves one descriptor where that alone makes all fit", () => {
	const own: Sleeper[] = [
		["epoll_wait", 4],
		["accept", 3],
	];
	expect(compare([...FILES, "epoll", "unix-socket"], [["futex", 0]], own)).toMatchObject({
		after: ["0 file", "1 file", "2 file", "3 unix-socket", "4 epoll"],
		findings: [
			caution(
				"files-from-donor",
				"numbers of descriptors",
				"the donor's 3 is 4, the donor's 4 is 3: no other order of the donor's fits what the core proves",
			),
		],
	});
});

it("says what contradicts, where several orders would fit", () => {
	const own: Sleeper[] = [
		["epoll_wait", 4],
		["read", 3, 8n],
	];
	expect(compare([...FILES, "epoll", "eventfd", "timerfd"], [["futex", 0]], own)).toEqual({
		numbers: {},
		after: ["0 file", "1 file", "2 file", "3 epoll", "4 eventfd", "5 timerfd"],
		findings: [
			loss(
				"files-from-donor",
				"descriptor 4",
				"thread 900 slept in epoll_wait on it, which the donor's (eventfd) is not for; which of the donor's it was is not known",
			),
			loss(
				"files-from-donor",
				"descriptor 3",
				"thread 901 slept in read on it, which the donor's (epoll) is not for; which of the donor's it was is not known",
			),
		],
	});
});

it("does not take half of what it needs for all", () => {
	// the reader was awake in the donor: its timer, or the counter, may be what was opened earlier
	const open = [...FILES, "epoll", "eventfd", "timerfd"];
	const own: Sleeper[] = [
		["epoll_wait", 4],
		["read", 3, 8n],
	];
	expect(compare(open, [["epoll_wait", 3]], own)).toMatchObject({
		numbers: {},
		findings: [{ weight: "loss" }, { weight: "loss" }],
	});
});

it("follows all threads where more than one descriptor was opened at another time", () => {
	const open = [...FILES, "epoll", "timerfd", "unix-socket", "eventfd"];
	const theirs: Sleeper[] = [
		["epoll_wait", 3],
		["accept", 5],
		["read", 4, 8n],
	];
	const own: Sleeper[] = [
		["epoll_wait", 5],
		["accept", 3],
		["read", 4, 8n],
	];
	expect(compare(open, theirs, own)).toMatchObject({
		after: ["0 file", "1 file", "2 file", "3 unix-socket", "4 timerfd", "5 epoll", "6 eventfd"],
		findings: [
			caution(
				"files-from-donor",
				"numbers of descriptors",
				"the donor's 3 is 5, the donor's 5 is 3, as threads sleep in the same calls in both; that the others keep their order is likely",
			),
		],
	});
});

it("takes two threads that have changed places for what they are", () => {
	const open = [...FILES, "epoll", "epoll", "unix-socket", "eventfd"];
	const theirs: Sleeper[] = [
		["epoll_wait", 3],
		["epoll_wait", 4],
		["accept", 5],
		["read", 6, 8n],
	];
	const own: Sleeper[] = [
		["epoll_wait", 4],
		["epoll_wait", 3],
		["accept", 6],
		["read", 5, 8n],
	];
	expect(compare(open, theirs, own).numbers).toEqual({ 5: 6, 6: 5 });
});

it("believes an event loop in the core, of which nobody needs to sleep in it", () => {
	const loop: DescriptorGuess = {
		...{ number: 4, what: { kind: "epoll", targets: [], complete: true }, flags: 0, closeOnExec: true },
		why: "libuv's loop 1",
	};
	const open = [...FILES, "epoll", "unix-socket"];
	expect(compare(open, [], [], [loop])).toMatchObject({ numbers: { 3: 4, 4: 3 } });
	expect(compare([...FILES, "epoll", "epoll"], [], [], [loop])).toMatchObject({ numbers: {}, findings: [] });
	expect(compare([...FILES, "file", "file"], [], [], [loop]).findings).toEqual([
		loss(
			"files-from-donor",
			"descriptor 4",
			"it was libuv's loop 1, which the donor's (file) is not for; which of the donor's it was is not known",
		),
	]);
});

it("does not keep every order of the thousands of descriptors of a server", () => {
	const logs = Array.from({ length: 4000 }, () => "file");
	const own: Sleeper[] = [
		["epoll_wait", 4],
		["accept", 3],
	];
	expect(compare([...FILES, "epoll", "unix-socket", ...logs], [["futex", 0]], own)).toMatchObject({
		numbers: { 3: 4, 4: 3 },
		findings: [{ weight: "caution" }],
	});
	// any of them may have been accepted first
	const connections = logs.map(() => "unix-socket");
	expect(compare([...FILES, "epoll", ...connections], [["futex", 0]], own)).toMatchObject({
		numbers: {},
		findings: [{ weight: "loss" }, { weight: "loss" }],
	});
	expect(compare([...FILES, ...connections], [["futex", 0]], [["epoll_wait", 9]])).toMatchObject({
		numbers: {},
		findings: [{ weight: "loss" }],
	});
});
