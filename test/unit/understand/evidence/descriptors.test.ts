import { describe, expect, test } from "vitest";
import type { BuiltCore } from "../../../support/builders/core-builder.ts";
import { asleepIn, deduced, ints, poke, told, withGlibc, words } from "../../../support/builders/deduced-core.ts";
import { deadCore, deadPlaces } from "../../../support/builders/pair.ts";
import { withLoop } from "../../../support/builders/uv-loop.ts";
import { present } from "../../../support/present.ts";

const { heap, exe } = deadPlaces;
const TIDS = [500, 501, 502];
const three = withGlibc(deadCore({ tids: TIDS }));
/** Writable memory that the program's own objects have. */
const DATA = exe + 3n * 4096n;
const NR = { read: 0, write: 1, poll: 7, readv: 19, select: 23, accept: 43, ioctl: 16, epoll_wait: 232, ppoll: 271 };

const NONBLOCK = 0o4000;

/** Number and kind of all but the standard ones, with what matters of them. */
const open = (core: BuiltCore) =>
	deduced(core)
		.task.files.descriptors.filter(({ number, description }) => number > 2 || description.kind !== "file")
		.map(({ number, description: it }) => {
			const nonblock = (it.flags & NONBLOCK) === 0 ? "" : " nonblock";
			if (it.kind === "pipe")
				return `${number} pipe ${it.pipe.id} ${["reads", "writes", "both"][it.flags & 3]}${nonblock}`;
			if (it.kind === "epoll")
				return `${number} epoll ${it.targets.map((target) => `${target.number}:${target.events}:${target.data}`).join(" ")}`;
			return `${number} ${it.kind}${nonblock}`;
		});

describe("a thread asleep", () => {
	test("in epoll_wait names its epoll instance", () => {
		const core = asleepIn(three, 501, NR.epoll_wait, 9n, heap, 4n);
		expect(open(core)).toEqual(["9 epoll "]);
		expect(told(deduced(core), "descriptor-deduced")).toEqual([
			"caution descriptor 9: an epoll instance (thread 501 sleeps in epoll_wait on it); what it watched is not known, so it only wakes for timeouts",
		]);
	});

	test("in epoll_wait names what was reported last, by the cookies that are descriptors", () => {
		// two events: 12 bytes each; then one whose cookie is an address
		const events = Buffer.concat([ints(1, 12, 0, 0x11, 14, 0, 1), words(0x5555_5555_0000n)]);
		const core = poke(asleepIn(three, 501, NR.epoll_wait, 9n, heap, 8n), heap, events);
		expect(open(core)).toEqual(["9 epoll 12:1:12 14:1:14", "12 pipe 12 both nonblock", "14 pipe 14 both nonblock"]);
		expect(told(deduced(core), "descriptor-deduced").slice(0, 2)).toEqual([
			"caution descriptor 9: an epoll instance (thread 501 sleeps in epoll_wait on it) that watches 12, 14; what else it watched is not known",
			"caution descriptor 12: of a kind that a core does not tell (reported last by epoll 9); a pipe stands in, from which nothing comes",
		]);
	});

	test("in poll names what is in its array, but for negative numbers", () => {
		const array = Buffer.concat([ints(7, 1), ints(-1, 1), ints(8, 4)]);
		const core = poke(asleepIn(three, 502, NR.poll, heap, 3n, 2n ** 64n - 1n), heap, array);
		expect(open(core)).toEqual(["7 pipe 7 both nonblock", "8 pipe 8 both nonblock"]);
	});

	test("in select names what is in its sets", () => {
		const sets = Buffer.concat([words(1n << 5n, 1n), words(1n << 6n, 0n)]);
		const core = poke(asleepIn(three, 500, NR.select, 65n, heap, heap + 16n, 0n), heap, sets);
		expect(open(core)).toEqual(["5 pipe 5 both nonblock", "6 pipe 6 both nonblock", "64 pipe 64 both nonblock"]);
	});

	test("in a read of eight bytes reads a counter", () => {
		expect(open(asleepIn(three, 501, NR.read, 4n, heap, 8n))).toEqual(["4 eventfd"]);
	});

	test("in any other read waits for a pipe to which nobody writes", () => {
		expect(open(asleepIn(three, 501, NR.read, 4n, heap, 1n))).toEqual(["4 pipe 4 both"]);
		expect(open(asleepIn(three, 501, NR.readv, 4n, heap, 8n))).toEqual(["4 pipe 4 both"]);
	});

	test("in a read from a pipe that has both its ends in memory gets both", () => {
		const core = poke(asleepIn(three, 501, NR.read, 4n, heap, 1n), DATA + 0x10n, ints(4, 5));
		expect(open(core)).toEqual(["4 pipe 4 reads", "5 pipe 4 writes"]);
		expect(told(deduced(core), "descriptor-deduced")).toEqual([
			"note descriptor 4: the reading end of a pipe (thread 501 sleeps in read on it)",
			"note descriptor 5: the writing end of a pipe (beside 4 in memory, as pipe(2) puts them)",
		]);
	});

	test("shares no pipe with a descriptor that others sleep on", () => {
		const pair = poke(asleepIn(three, 501, NR.read, 4n, heap, 1n), DATA, ints(4, 5));
		expect(open(asleepIn(pair, 502, NR.epoll_wait, 5n, heap, 0n))).toEqual(["4 pipe 4 both", "5 epoll "]);
	});

	test("in a read of its standard input waits, where /dev/null would be the end of it", () => {
		const core = asleepIn(three, 500, NR.read, 0n, heap, 1024n);
		expect(open(core)).toEqual(["0 pipe 0 both"]);
		const { descriptors } = deduced(core, { tty: "/dev/pts/7" }).task.files;
		expect(descriptors.map(({ description }) => ("path" in description ? description.path : ""))).toEqual(
			Array(3).fill("/dev/pts/7"),
		);
	});

	test("in a write to its standard output writes to nowhere", () => {
		expect(open(asleepIn(three, 500, NR.write, 1n, heap, 1024n))).toEqual([]);
	});

	test("in accept had a socket, and that is a loss", () => {
		const core = TIDS.reduce((made, tid) => asleepIn(made, tid, NR.accept, 3n), three);
		expect(open(core)).toEqual([]);
		expect(told(deduced(core), "descriptor-deduced")).toEqual([
			"loss descriptor 3: thread 500 and 2 more slept in accept on it: a socket, for which there is no stand-in yet; the call fails at once",
		]);
		expect(told(deduced(core, { fds: new Map([[3, "/dev/null"]]) }), "descriptor-deduced")).toEqual([]);
	});

	test("in ioctl had some file", () => {
		expect(told(deduced(asleepIn(three, 502, NR.ioctl, 6n)), "descriptor-deduced")).toEqual([
			"loss descriptor 6: thread 502 slept in ioctl on it: a file that a core does not name; the call fails at once",
		]);
	});

	test("on a number that no process has names nothing", () => {
		expect(open(asleepIn(three, 501, NR.read, 0x4000_0000n, heap, 1n))).toEqual([]);
		expect(open(asleepIn(three, 501, NR.read, 2n ** 64n - 1n, heap, 1n))).toEqual([]);
	});
});

describe("a loop of libuv", () => {
	const at = heap + 0x1100n;
	const loop = {
		at,
		backend: 3,
		async: { fd: 8, wfd: -1 },
		signals: [6, 7] as const,
		watchers: [
			{ fd: 12, events: 5 },
			{ fd: 13, events: 0 },
		],
	};

	test("names its epoll instance, what wakes it, its signal pipe, libuv's lock and what it watches", () => {
		expect(open(withLoop(three, loop))).toEqual([
			"3 epoll 6:1:6 8:1:8 12:5:12",
			"4 pipe 4 reads",
			"5 pipe 4 writes",
			"6 pipe 6 reads nonblock",
			"7 pipe 6 writes nonblock",
			"8 eventfd nonblock",
			"12 pipe 12 both nonblock",
			"13 pipe 13 both nonblock",
		]);
	});

	test("says what each is for", () => {
		expect(told(deduced(withLoop(three, loop)), "descriptor-deduced")).toEqual([
			"note descriptor 3: an epoll instance (libuv's loop 1) that watches 6, 8, 12",
			"note descriptor 4: the reading end of a pipe (libuv's lock around signal handlers)",
			"note descriptor 5: the writing end of a pipe (libuv's lock around signal handlers)",
			"note descriptor 6: the reading end of a pipe (signals for libuv's loop 1)",
			"note descriptor 7: the writing end of a pipe (signals for libuv's loop 1)",
			"note descriptor 8: an eventfd that has counted nothing (what wakes libuv's loop 1)",
			"caution descriptor 12: of a kind that a core does not tell (watched by libuv's loop 1); a pipe stands in, from which nothing comes",
			"caution descriptor 13: of a kind that a core does not tell (watched by libuv's loop 1); a pipe stands in, from which nothing comes",
		]);
	});

	test.each([
		["work", 120n],
		["child processes", 368n],
	])("that died with pending watchers is known by its empty list of %s", (_, list) => {
		expect(open(withLoop(three, { ...loop, empty: [list] })).length).toBe(8);
	});

	test("is found once, however many of its lists are empty", () => {
		const found = deduced(withLoop(three, { ...loop, empty: [72n, 120n, 368n] }));
		expect(found.task.files.descriptors.filter(({ description }) => description.kind === "epoll").length).toBe(1);
	});

	test("finds one byte in its lock, as nobody held it", () => {
		const { descriptors } = deduced(withLoop(three, loop)).task.files;
		const lock = present(descriptors.find(({ number }) => number === 4)).description;
		expect(lock).toMatchObject({ kind: "pipe", pipe: { content: { length: 1n } } });
		const other = present(descriptors.find(({ number }) => number === 6)).description;
		expect(other).toMatchObject({ kind: "pipe", pipe: { id: 6 } });
		expect("pipe" in other && other.pipe.content).toBeUndefined();
	});

	test("of a kernel without eventfd is woken by a pipe", () => {
		const core = withLoop(three, { at, backend: 3, async: { fd: 8, wfd: 9 } });
		expect(open(core)).toEqual(["3 epoll 8:1:8", "8 pipe 8 reads nonblock", "9 pipe 8 writes nonblock"]);
	});

	test("knows more than the thread that sleeps in it", () => {
		const core = asleepIn(withLoop(three, loop), 501, NR.epoll_wait, 3n, heap, 0n);
		expect(open(core)[0]).toBe("3 epoll 6:1:6 8:1:8 12:5:12");
	});

	test.each([
		["a watcher for another number than its place", { watchers: [{ fd: 12, slot: 14, events: 1 }] }],
		["fewer watchers than it says", { count: 9 }],
		["more watchers than it says", { count: 2 }],
		["a watcher that calls no code", { watchers: [{ fd: 12, events: 1, calls: heap }] }],
		["a watcher for its own epoll instance", { watchers: [{ fd: 3, events: 1 }] }],
		["a watcher that is nowhere", { watchers: [{ fd: 12, events: 1, at: 0x10_0000n }] }],
		["a negative descriptor", { backend: -1 }],
	])("is none with %s", (_, wrong) => {
		expect(open(withLoop(three, { ...loop, ...wrong }))).toEqual([]);
	});
});

describe("Go's poller", () => {
	test("is looked for in programs that have Go's note only", () => {
		const opened = (core: BuiltCore): string[] => {
			const paths: string[] = [];
			deduced(core, { open: (path) => void paths.push(path) });
			return paths;
		};
		const note = Buffer.from("\x04\0\0\0\x04\0\0\0\x04\0\0\0Go\0\0", "latin1");
		const more = opened(poke(three, exe + 0x400n, note)).length - opened(three).length;
		expect(more).toBe(1);
	});
});
