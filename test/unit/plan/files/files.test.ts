import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { extent } from "../../../../src/bytes/extent.ts";
import { fromBuffer } from "../../../../src/bytes/source.ts";
import { openImageDir } from "../../../../src/criu/image-dir.ts";
import type { Description } from "../../../../src/descriptors/kinds.ts";
import { caution, type Finding, loss } from "../../../../src/finding.ts";
import type { Files } from "../../../../src/forest/files.ts";
import type { Task } from "../../../../src/forest/task.ts";
import { taskFromImages } from "../../../../src/images/read/from-images.ts";
import { type FilePolicy, planFiles } from "../../../../src/plan/files/files.ts";
import { planArming } from "../../../../src/plan/files/late.ts";
import { neededFiles } from "../../../../src/plan/files/needed-files.ts";
import { madeInWorkshop, makeDescriptions } from "../../../../src/plan/files/workshop.ts";
import { sourcesOf } from "../../../../src/plan/inputs.ts";
import { LEADER, WORKSHOP } from "../../../../src/plan/plan.ts";
import { planDirectories } from "../../../../src/plan/process/directories.ts";
import { FIRST_INPUT_FD } from "../../../../src/program/abi.ts";
import { carriedOut } from "../../../support/builders/carried-out.ts";
import { fixtureNames, fixturePath } from "../../../support/builders/fixture-core.ts";
import { circumstancesFor } from "../../../support/builders/made-context.ts";
import { stepText } from "../../../support/models/step-text.ts";
import { present } from "../../../support/present.ts";
import { refusal } from "../../../support/refusal.ts";

const strict: FilePolicy = { fds: new Map(), missing: "error" };
const lenient: FilePolicy = { fds: new Map(), missing: "null" };

/** [number, description, FD_CLOEXEC]; equal ids are one description. */
type Open = readonly [number: number, description: object, closeOnExec?: boolean];

const taskOf = (open: readonly Open[], more: Partial<Files> = {}): Task =>
	({
		identity: { pid: 200, pgid: 200 },
		threads: [{ tid: 200 }, { tid: 201 }],
		memory: { mappings: [], contents: [], objects: [], executable: "" },
		files: {
			descriptors: open.map(([number, description, closeOnExec = false]) => ({
				number,
				closeOnExec,
				description: { id: number, flags: 2, ...description } as Description,
			})),
			...more,
		},
	}) as unknown as Task;

interface Planned {
	/** Of the workshop. */
	readonly workshop: readonly string[];
	/** Of the process. */
	readonly steps: readonly string[];
	readonly findings: readonly Finding[];
}

/**
 * All steps but the frame: closing the agent's descriptors, and those that were needed meanwhile. What is open already is
 * called by the path that it was opened by.
 */
function planned(task: Task, policy: FilePolicy = strict): Planned {
	const [sources, needed] = [sourcesOf(task), neededFiles(task, policy)];
	const made = madeInWorkshop(task, policy);
	const context = circumstancesFor(64, sources, needed, made);
	makeDescriptions(task, context, policy);
	planFiles(task, context, policy);
	const { lists, findings } = context.draft.made();
	const stepsOf = (list: string, firstNeeded: number): string[] =>
		lists
			.flatMap(({ name, steps }) => (name === list ? steps : []))
			.map(stepText)
			.map((text) =>
				text.replace(/\/proc\/self\/fd\/(\d+)/, (whole, number) => needed[Number(number) - firstNeeded]?.path ?? whole),
			);
	const steps = stepsOf(LEADER, 65 + sources.length);
	expect(steps[0]).toBe("close_range(0, 63, 0)");
	expect(steps.at(-1)).toBe(`close_range(${65 + sources.length + needed.length + made.length}, 0xffffffff, 0)`);
	return { workshop: stepsOf(WORKSHOP, FIRST_INPUT_FD + sources.length), steps: steps.slice(1, -1), findings };
}

const file = (path: string, more: object = {}): object => ({
	kind: "file",
	path,
	position: 0n,
	unlinked: false,
	...more,
});
const pipe = (id: number, flags: number, more: object = {}): object => ({ kind: "pipe", flags, pipe: { id }, ...more });

/** From wherever it landed to its number in the agent. */
const keptAs = (landed: string, number: number): string[] => [
	`fcntl(${landed}, 0x406, ${number}) = ${number}`,
	`close(${landed})`,
];

describe("descriptors in a plan", () => {
	it("files: with the flags that outlive the opening, at their offset", () => {
		const all = 0o1 | 0o100 | 0o200 | 0o1000 | 0o2000 | 0o4000 | 0o20000 | 0o100000;
		expect(planned(taskOf([[0, file("/log", { flags: all, position: 700n, mode: 0o100644 })]])).steps).toEqual([
			'openat(-100, "/log", 0x8d01) = 0',
			"lseek(0, 700, 0) = 700",
		]);
	});

	it("devices and what is opened with O_PATH have no offset; directories have", () => {
		const open: Open[] = [
			[0, file("/dev/null", { flags: 0, mode: 0o020666, position: 5n })],
			[1, file("/etc/passwd", { flags: 0o10000000, position: 5n })],
			[2, file("/etc", { flags: 0o200000, position: 5n, mode: 0o040755 })],
		];
		expect(planned(taskOf(open)).steps).toEqual([
			'openat(-100, "/dev/null", 256) = 0',
			'openat(-100, "/etc/passwd", 0x200100) = 1',
			'openat(-100, "/etc", 0x10100) = 2',
			"lseek(2, 5, 0) = 5",
		]);
	});

	// folklore: linkat(2) of /proc/self/fd/N gives a file a name that was made with O_TMPFILE; the flag stays
	it("a file of O_TMPFILE that has a name now is no directory", () => {
		const { steps } = planned(taskOf([[0, file("/tmp/linked", { flags: 0o20200002 })]]));
		expect(steps).toEqual(['openat(-100, "/tmp/linked", 258) = 0']);
	});

	it("land where they belong, or on the first hole and from there to their number", () => {
		const open: Open[] = [
			[1, file("/a"), true],
			[2, file("/b")],
			[3, { ...file("/b"), id: 2 }, true],
			[4, file("/c"), true],
		];
		expect(planned(taskOf(open)).steps).toEqual([
			'openat(-100, "/a", 258) = 0',
			"dup3(0, 1, 0x80000) = 1",
			"close(0)",
			'openat(-100, "/b", 258) = 0',
			"dup3(0, 2, 0) = 2",
			"close(0)",
			"dup3(2, 3, 0x80000) = 3",
			'openat(-100, "/c", 258) = 0',
			"dup3(0, 4, 0x80000) = 4",
			"close(0)",
		]);
		expect(planned(taskOf([[0, file("/a"), true]])).steps).toEqual(['openat(-100, "/a", 0x80102) = 0']);
	});

	it("the pipe of pipe(2), made by the agent: its ends only get their numbers", () => {
		const open: Open[] = [
			[0, pipe(9, 0o4000), true],
			[1, pipe(9, 1)],
		];
		const { workshop, steps } = planned(taskOf(open));
		expect(workshop).toEqual([
			"pipe2(<ends of pipe 9>, 0x80000)",
			"fcntl(*<ends of pipe 9>, 4, 0x800)",
			...keptAs("*<ends of pipe 9>", 8),
			...keptAs("*<ends of pipe 9>+4", 9),
		]);
		expect(steps).toEqual(["dup3(65<pipe 9>, 0, 0x80000) = 0", "dup3(66<pipe 9>, 1, 0) = 1"]);
	});

	it("a pair of sockets, whose other end waits for its turn", () => {
		const end = (id: number): object => ({ kind: "socket-pair", id, pair: 9, flags: 0o4002 });
		expect(
			planned(
				taskOf([
					[0, end(1), true],
					[1, end(2)],
				]),
			).steps,
		).toEqual([
			"socketpair(1, 1, 0, <ends of socket pair 9>)",
			"fcntl(1, 4, 0x800)",
			"fcntl(1, 0x406, 65)",
			"close(1)",
			"fcntl(0, 4, 0x800)",
			"fcntl(0, 2, 1)",
			"dup3(*<end of socket pair 9 for 1>, 1, 0) = 1",
		]);
		expect(planned(taskOf([[0, end(1)]])).steps).toEqual([
			"socketpair(1, 1, 0, <ends of socket pair 9>)",
			"close(1)",
			"fcntl(0, 4, 0x800)",
		]);
	});

	it("a socket that listens, and one that was never bound", () => {
		const socket = (more: object): object => ({
			...{ kind: "inet-socket", inode: 9, family: 2, type: 1, protocol: 6, state: 7, backlog: 0 },
			source: { port: 0, address: Uint8Array.of(0, 0, 0, 0) },
			target: { port: 0, address: Uint8Array.of(0, 0, 0, 0) },
			...{ options: {}, timeouts: { send: 0n, receive: 0n }, flags: 2, ...more },
		});
		const source = { port: 80, address: Uint8Array.of(127, 0, 0, 1) };
		const options = { "send buffer": 16384, "receive buffer": 8192, "buffer lock": 2, "keep alive": 1, priority: 0 };
		const { steps } = planned(
			taskOf([
				[0, socket({ state: 10, backlog: 511, source, options, flags: 0o4002 }), true],
				[1, socket({ family: 10, onlyV6: true, options: { "reuse port": 1 }, linger: 5 })],
			]),
		);
		expect(steps).toEqual([
			"socket(2, 0x80801, 6) = 0",
			"setsockopt(0, 1, 2, [01000000], 4)",
			"bind(0, [020000507f0000010000000000000000], 16)",
			"listen(0, 511)",
			"setsockopt(0, 1, 2, [00000000], 4)",
			"setsockopt(0, 1, 8, [00100000], 4)",
			"setsockopt(0, 1, 9, [01000000], 4)",
			"socket(10, 1, 6) = 1",
			"setsockopt(1, 41, 26, [01000000], 4)",
			"setsockopt(1, 1, 15, [01000000], 4)",
			"setsockopt(1, 1, 13, [0100000005000000], 8)",
		]);
	});

	it("a pipe with the ends the other way round", () => {
		const open: Open[] = [
			[0, pipe(9, 1)],
			[1, pipe(9, 0)],
		];
		const { workshop, steps } = planned(taskOf(open));
		expect(workshop).toEqual([
			"pipe2(<ends of pipe 9>, 0x80000)",
			...keptAs("*<ends of pipe 9>", 9),
			...keptAs("*<ends of pipe 9>+4", 8),
		]);
		expect(steps).toEqual(["dup3(65<pipe 9>, 0, 0) = 0", "dup3(66<pipe 9>, 1, 0) = 1"]);
	});

	it("a pipe with one end: the other is closed, and that is said", () => {
		const writer = planned(taskOf([[0, pipe(9, 1)]]));
		expect(writer.workshop).toEqual([
			"pipe2(<ends of pipe 9>, 0x80000)",
			"close(*<ends of pipe 9>)",
			...keptAs("*<ends of pipe 9>+4", 8),
		]);
		expect(writer.steps).toEqual(["dup3(65<pipe 9>, 0, 0) = 0"]);
		expect(writer.findings).toEqual([
			loss("pipe", "descriptor 0", "is a pipe whose other end the process had not; writing to it fails with EPIPE"),
		]);
		const reader = planned(taskOf([[0, pipe(9, 0)]]));
		expect(reader.workshop).toEqual([
			"pipe2(<ends of pipe 9>, 0x80000)",
			...keptAs("*<ends of pipe 9>", 8),
			"close(*<ends of pipe 9>+4)",
		]);
		expect(reader.findings[0]?.text).toBe(
			"is a pipe whose other end the process had not; reading from it finds its end",
		);
	});

	it("a pipe that was opened once more by way of /proc", () => {
		const open: Open[] = [
			[0, pipe(9, 0)],
			[1, pipe(9, 1)],
			[2, pipe(9, 0o4001)],
		];
		const { workshop, steps } = planned(taskOf(open));
		expect(workshop).toEqual([
			"pipe2(<ends of pipe 9>, 0x80000)",
			"fcntl(*<ends of pipe 9>, 0x406, 11) = 11",
			'openat(-100, "/proc/self/fd/11", 0x80901)',
			...keptAs("*<one more end of pipe 9>", 10),
			"close(11)",
			...keptAs("*<ends of pipe 9>", 8),
			...keptAs("*<ends of pipe 9>+4", 9),
		]);
		expect(steps).toEqual(["dup3(65<pipe 9>, 0, 0) = 0", "dup3(66<pipe 9>, 1, 0) = 1", "dup3(67<pipe 9>, 2, 0) = 2"]);
	});

	it("what waits in a pipe goes from its file into the pipe, never waiting for a reader", () => {
		const content = extent(fromBuffer("d/pipes-data.img", Buffer.alloc(80_000)), 20n, 70_000n);
		const open: Open[] = [
			[0, pipe(9, 0, { pipe: { id: 9, capacity: 131_072, content } })],
			[1, pipe(9, 0o40001, { pipe: { id: 9, capacity: 131_072, content } })],
		];
		const { workshop, findings } = planned(taskOf(open));
		expect(workshop).toEqual([
			"pipe2(<ends of pipe 9>, 0x80800)",
			"fcntl(*<ends of pipe 9>+4, 0x407, 0x20000)",
			"pread64(5<pipes-data.img>, <pipe buffer>, 0x10000, 20) = 65536",
			"write(*<ends of pipe 9>+4, <pipe buffer>, 0x10000) = 65536",
			"pread64(5<pipes-data.img>, <pipe buffer>, 0x1170, 0x10014) = 4464",
			"write(*<ends of pipe 9>+4, <pipe buffer>, 0x1170) = 4464",
			"fcntl(*<ends of pipe 9>, 4, 0)",
			...keptAs("*<ends of pipe 9>", 9),
			"fcntl(*<ends of pipe 9>+4, 4, 0x4000)",
			...keptAs("*<ends of pipe 9>+4", 10),
		]);
		expect(findings).toEqual([loss("pipe", "pipe 9", "what waits in it is no longer cut into packets (O_DIRECT)")]);
	});

	it("a FIFO, held open both ways until its ends are there", () => {
		const fifo = (flags: number): object => ({ kind: "fifo", flags, file: { path: "/run/f" }, pipe: { id: 9 } });
		const open: Open[] = [
			[0, fifo(0)],
			[1, fifo(1)],
		];
		const { workshop, steps } = planned(taskOf(open));
		expect(workshop).toEqual(['openat(-100, "/run/f", 0x80902)', ...keptAs("*<both ends of FIFO 9>", 9)]);
		expect(steps).toEqual(['openat(-100, "/run/f", 256) = 0', 'openat(-100, "/run/f", 257) = 1']);
	});

	it("eventfds, also with more than the call takes", () => {
		const open: Open[] = [
			[0, { kind: "eventfd", flags: 0o4002, counter: 7n }, true],
			[1, { kind: "eventfd", counter: 2n ** 32n }],
			[2, { kind: "eventfd", counter: 3n, semaphore: true }],
		];
		expect(planned(taskOf(open)).steps).toEqual([
			"eventfd2(7, 0x80800) = 0",
			"eventfd2(0, 0) = 1",
			"write(1, [0000000001000000], 8) = 8",
			// EFD_SEMAPHORE
			"eventfd2(3, 1) = 2",
		]);
	});

	it("a signalfd and a timerfd, which is not armed yet", () => {
		const timer = { kind: "timerfd", clock: 1, ticks: 1n, settings: 0, remaining: 1n, interval: 0n };
		const open: Open[] = [
			[0, { kind: "signalfd", mask: 0x3000n, flags: 0o4002 }],
			[1, timer],
		];
		expect(planned(taskOf(open)).steps).toEqual([
			"signalfd4(-1, [0030000000000000], 8, 0x800) = 0",
			"timerfd_create(1, 0) = 1",
		]);
	});

	it("epoll, with its targets when these are there", () => {
		const target = (number: number) => ({ number, events: 0x80000001, data: 0x1122334455667788n });
		const open: Open[] = [
			[0, { kind: "epoll", flags: 0o4002, targets: [target(1), target(5), target(1)] }, true],
			[1, { kind: "eventfd", counter: 0n }],
		];
		const { steps, findings } = planned(taskOf(open));
		expect(steps).toEqual([
			"epoll_create1(0x80000) = 0",
			"fcntl(0, 4, 0x800)",
			"eventfd2(0, 0) = 1",
			"epoll_ctl(0, 1, 1, [010000808877665544332211])",
		]);
		expect(findings).toEqual([
			loss("epoll", "epoll descriptor 0", "no longer watches 5, which is not open"),
			loss("epoll", "epoll descriptor 0", "no longer watches 1, which stands for two files"),
		]);
	});
});

describe("descriptors that cannot be opened", () => {
	const terminal = {
		...{ kind: "tty", id: 30, flags: 0o102002, place: "current", path: "/dev/tty" },
		terminal: { id: 0x500 },
	};
	const words = "the terminal /dev/tty, whose other end none of these processes has (--shell-job gives it yours)";
	const socket = { kind: "netlink-socket", flags: 2 };

	it("are refused, all at once", () => {
		expect(refusal(() => planned(taskOf([[0, socket]])))).toBe(
			"ERR_UNSUPPORTED descriptor 0: was a netlink socket, which this version cannot restore; " +
				"name another file with --fd 0=PATH, or let /dev/null take its place with --missing-fds null",
		);
		const several: Open[] = [
			[0, terminal],
			[1, terminal],
			[3, socket],
			[5, file("/tmp/gone", { unlinked: true })],
		];
		expect(refusal(() => planned(taskOf(several)))).toBe(
			"ERR_UNSUPPORTED descriptors 0, 1, 3, 5: " +
				`0 was ${words}, 1 was ${words}, ` +
				"3 was a netlink socket, 5 was the deleted file /tmp/gone, which this version cannot restore; " +
				"name another file with --fd 0=PATH, or let /dev/null take its place with --missing-fds null",
		);
	});

	it.each(
		[
			...["inet-socket", "packet-socket", "netlink-socket", "namespace"],
			...["tun", "external", "bpf-map", "unknown"],
		].map((kind) => [kind]),
	)("%s is refused by name", (kind) => {
		expect(refusal(() => planned(taskOf([[0, { kind }]])))).toMatch(/^ERR_UNSUPPORTED descriptor 0: was an? [a-z ]+/i);
	});

	it("become /dev/null where that is asked for, shared as before", () => {
		const open: Open[] = [
			[0, terminal],
			[1, terminal, true],
			[2, socket],
		];
		const { steps, findings } = planned(taskOf(open), lenient);
		expect(steps).toEqual([
			'openat(-100, "/dev/null", 0x502) = 0',
			"dup3(0, 1, 0x80000) = 1",
			'openat(-100, "/dev/null", 258) = 2',
		]);
		expect(findings.map(({ subject, text }) => `${subject} ${text}`)).toEqual([
			`descriptor 0 was ${words}; /dev/null takes its place`,
			`descriptor 1 was ${words}; /dev/null takes its place`,
			"descriptor 2 was a netlink socket; /dev/null takes its place",
		]);
	});

	it("take the files that are named for them, also for numbers the process had not", () => {
		const open: Open[] = [
			[0, terminal],
			[1, terminal],
			[2, file("/log")],
		];
		const fds = new Map([
			[0, "in"],
			[1, "in"],
			[2, "elsewhere"],
			[4, "more"],
		]);
		expect(planned(taskOf(open), { fds, missing: "error" }).steps).toEqual([
			'openat(-100, "in", 0x502) = 0',
			"dup3(0, 1, 0) = 1",
			'openat(-100, "elsewhere", 258) = 2',
			'openat(-100, "more", 258) = 3',
			"dup3(3, 4, 0) = 4",
			"close(3)",
		]);
	});

	it("are no longer watched", () => {
		const target = { number: 1, events: 1, data: 0n };
		const open: Open[] = [
			[0, { kind: "epoll", targets: [target] }],
			[1, socket],
		];
		expect(planned(taskOf(open), lenient).findings.at(-1)).toEqual(
			loss("epoll", "epoll descriptor 0", "no longer watches 1, which is /dev/null now"),
		);
		const named = planned(taskOf(open), { fds: new Map([[1, "fifo"]]), missing: "error" });
		expect(named.steps.at(-1)).toBe("epoll_ctl(0, 1, 1, [010000000000000000000000]) or error 1");
	});
});

describe("what waits until the process is whole", () => {
	const late = (task: Task): Omit<Planned, "workshop"> => {
		const context = circumstancesFor(64);
		planArming(task, context, lenient);
		const steps = context.draft.made().lists.flatMap((list) => list.steps);
		expect(new Set(steps.map(({ stage }) => stage))).toEqual(new Set(steps.length === 0 ? [] : ["leave"]));
		return { steps: steps.map(stepText), findings: context.draft.made().findings };
	};

	it("timers go on with what was left, and with what had expired", () => {
		const timer = { kind: "timerfd", clock: 0, ticks: 3n, settings: 1, remaining: 1_000_000_002n, interval: 3n };
		const idle = { ...timer, ticks: 0n, settings: 0, remaining: 0n, interval: 0n };
		const { steps, findings } = late(
			taskOf([
				[5, timer],
				[6, { ...timer, id: 5 }],
				[7, idle],
			]),
		);
		expect(steps).toEqual([
			"timerfd_settime(5, 0, [0000000000000000030000000000000001000000000000000200000000000000], 0)",
			"ioctl(5, 0x40085400, [0300000000000000])",
		]);
		expect(findings).toEqual([
			caution(
				"timers",
				"timer descriptor 5",
				"was set to a time of day; it waits for what was left, and a change of the clock does not cancel it",
			),
		]);
	});

	it("timers that were set to a time are so again, by the clock that goes on for them", () => {
		const timer = { kind: "timerfd", ticks: 0n, settings: 1, remaining: 7n, interval: 3n };
		const clocks = { monotonic: 100n, boottime: 200n, realtime: 300n, witness: "read" } as const;
		const task = taskOf([0, 1, 7, 8, 9].map((clock, i) => [i, { ...timer, clock, settings: clock === 0 ? 3 : 1 }]));
		const times = (host?: string): string[] => {
			const origin = { boot: "here", offsets: { monotonic: 0n, boottime: 0n } };
			const facts = { clocks: { now: { monotonic: 0n, boottime: 0n }, origin } };
			const without = host === undefined ? {} : { noTimeNamespace: host };
			const context = circumstancesFor(64);
			planArming({ ...task, clocks }, { ...context, facts: { ...context.facts, ...facts, ...without } }, strict);
			expect(context.draft.made().findings).toEqual([]);
			return context.draft.made().lists.flatMap((list) => list.steps.map(stepText));
		};
		const settime = (fd: number, flags: number, value: number): string =>
			`timerfd_settime(${fd}, ${flags}, [00000000000000000300000000000000${"00".repeat(8)}${Buffer.of(value & 0xff, value >> 8, 0, 0, 0, 0, 0, 0).toString("hex")}], 0)`;
		expect(times()).toEqual([
			settime(0, 3, 307),
			settime(1, 1, 107),
			settime(2, 1, 207),
			settime(3, 1, 307),
			settime(4, 1, 207),
		]);
		// the time of day goes on by itself; on another clock a time means nothing
		expect(times("EPERM")).toEqual([
			settime(0, 3, 307),
			settime(1, 0, 7),
			settime(2, 0, 7),
			settime(3, 1, 307),
			settime(4, 0, 7),
		]);
	});

	it("signals about input: the signal, whom it is sent to, then that it is sent", () => {
		const owned = (type: number, pid: number, signal: number): object =>
			pipe(9, 0o24001, { owner: { type, pid, signal } });
		expect(
			late(
				taskOf([
					[3, owned(0, 201, 12)],
					[4, owned(1, 999, 0)],
					[5, owned(2, 200, 0)],
					[6, owned(0, 0, 34)],
				]),
			).steps,
		).toEqual([
			"fcntl(3, 10, 12)",
			"fcntl(3, 15, [00000000c9000000])",
			"fcntl(3, 4, 0x2800)",
			"fcntl(4, 15, [01000000e7030000]) or error 3",
			"fcntl(4, 4, 0x2800)",
			"fcntl(5, 15, [02000000c8000000]) or error 3",
			"fcntl(5, 4, 0x2800)",
			"fcntl(6, 10, 34)",
			"fcntl(6, 4, 0x2800)",
		]);
	});
});

describe("directories", () => {
	it.each<[Partial<Files>, readonly string[]]>([
		[{}, []],
		[{ cwd: "/srv", root: "/", umask: 0o27 }, ["umask(23) anything", "fchdir(65<srv>)"]],
		[{ cwd: "/jail/a", root: "/jail" }, ["fchdir(66<jail>)", 'chroot(".")', "fchdir(65<a>)"]],
	])("%j", (more, steps) => {
		const task = taskOf([], more);
		const context = circumstancesFor(64, [], neededFiles(task, strict));
		planDirectories(task, context);
		expect(context.draft.made().lists.flatMap((list) => list.steps.map(stepText))).toEqual(steps);
	});
});

describe("the donors", () => {
	const open = fixtureNames.map((name) => ({ name, dir: openImageDir(fixturePath(join(name, "images"))) }));
	afterAll(() => {
		for (const { dir } of open) dir.close();
	});

	it.each(open)("$name comes back with its descriptors", ({ dir }) => {
		const task = taskFromImages(dir);
		const names = task.files.descriptors.flatMap(({ description: it }) => (it.kind === "file" ? [it.path] : []));
		const onDisk = new Map(names.map((name) => [name, name === "/dev/null" ? ("device" as const) : Buffer.of()]));
		const { kernel, left } = carriedOut(task, strict, onDisk, 256);
		expect(left).toEqual([]);
		expect([...kernel.table.keys()].sort((a, b) => a - b)).toEqual([
			...task.files.descriptors.map(({ number }) => number),
			256,
		]);
		for (const { number, description } of task.files.descriptors)
			expect(kernel.table.get(number)?.description.flags).toBe(description.flags);
	});

	it("threads: a shared description, a pipe, an eventfd, an epoll, and a pipe of CRIU's own", () => {
		const dir = open.find(({ name }) => name === "threads")?.dir;
		const task = taskFromImages(present(dir));
		const [sources, needed] = [sourcesOf(task), neededFiles(task, strict)];
		const context = circumstancesFor(256, sources, needed, madeInWorkshop(task, strict));
		planFiles(task, context, strict);
		expect(
			context.draft.made().lists.flatMap(({ steps }) => steps.map((step) => `${stepText(step)}  // ${step.why}`)),
		).toEqual([
			"close_range(0, 255, 0)  // the agent's descriptors",
			'openat(-100, "/proc/self/fd/261", 0x8100) = 0  // descriptor 0, /dev/null',
			'openat(-100, "/proc/self/fd/261", 0x8101) = 1  // descriptor 1, /dev/null',
			"dup3(1, 2, 0) = 2  // 2 and 1 are one",
			'openat(-100, "/proc/self/fd/262", 0x8501) = 3  // descriptor 3, /opt/victims/run/threads/log',
			"lseek(3, 108, 0) = 108  // where it was read or written last",
			"dup3(265<pipe 247757>, 4, 0) = 4  // descriptor 4, pipe 247757",
			"dup3(266<pipe 247757>, 5, 0) = 5  // descriptor 5, pipe 247757",
			"eventfd2(0, 0) = 6  // descriptor 6, with what it has counted",
			"epoll_create1(0) = 7  // descriptor 7",
			'openat(-100, "/proc/self/fd/261", 0x8100) = 8  // descriptor 10, /dev/null',
			"dup3(8, 10, 0) = 10  // to its number",
			"close(8)  // 8 is free again",
			"dup3(267<pipe 247523>, 251, 0) = 251  // descriptor 251, pipe 247523",
			"epoll_ctl(7, 1, 6, [190000000000000000000000])  // 7 watches 6",
			"close_range(268, 0xffffffff, 0)  // what was only needed meanwhile",
		]);
	});
});
