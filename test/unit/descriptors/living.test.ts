import type { BigIntStats } from "node:fs";
import { describe as about, expect, it } from "vitest";
import { see } from "../../../src/descriptors/kinds.ts";
import { O } from "../../../src/linux/open.ts";
import { parseFdinfo } from "../../../src/proc/fdinfo.ts";
import { asking } from "../../support/builders/asking.ts";

const stat = { mode: 0n, rdev: 0n, ino: 9n, dev: 1n } as BigIntStats;
const described = (link: string, fdinfo: string) => {
	const open = { number: 5, link, info: parseFdinfo(fdinfo), stat };
	const ask = asking();
	return see(open, ask).describe({ id: 3, flags: open.info.flags & ~O.CLOEXEC }, ask);
};

about("an open file by what fdinfo says", () => {
	it.each([
		[
			"anon_inode:[eventfd]",
			"flags:	02004002\neventfd-count:       1f\neventfd-semaphore: 1",
			{ counter: 31n, semaphore: true },
		],
		["anon_inode:[eventfd]", "flags:	02\neventfd-count: ffffffffffffffff", { counter: (1n << 64n) - 1n }],
		["anon_inode:[signalfd]", "flags:	02\nsigmask:	0000000000000800", { mask: 0x800n }],
		["pipe:[9]", "flags:	01", { flags: 1, pipe: { id: 9, capacity: 65536 } }],
		["/memfd:x (deleted)", "pos:	7\nflags:	0100002", { name: "x", object: 4, position: 7n }],
		[
			"anon_inode:[eventpoll]",
			"flags:	02\ntfd:        7 events:       1 data:                a\ntfd:        8 events:       1 data: b",
			{ targets: [{ number: 7, events: 1, data: 10n }] },
		],
	])("%s %s", async (link, fdinfo, expected) => {
		expect(await described(link, fdinfo)).toMatchObject({ id: 3, ...expected });
	});

	it("leaves out O_CLOEXEC, which is the descriptor's, and a semaphore of which nothing is told", () => {
		const eventfd = described("anon_inode:[eventfd]", "flags:	02004002\neventfd-count: 0");
		expect(eventfd).toEqual({ kind: "eventfd", id: 3, flags: 0o4002, counter: 0n });
	});

	it("knows nothing of what cannot be dumped", () => {
		expect(described("socket:[9]", "flags:	02")).toBeUndefined();
	});
});

about("a timerfd", () => {
	const timer = (ticks: number, value: string, interval: string) =>
		described(
			"anon_inode:[timerfd]",
			`flags:	02\nclockid: 1\nticks: ${ticks}\nsettime flags: 01\nit_value: ${value}\nit_interval: ${interval}`,
		);

	it("has what is left of its time", () => {
		expect(timer(2, "(1, 5)", "(0, 70)")).toMatchObject({
			...{ clock: 1, ticks: 2n, settings: 1, remaining: 1_000_000_005n, interval: 70n },
		});
	});

	it("runs on where it has expired and has an interval, though it shows no time left", () => {
		expect(timer(1, "(0, 0)", "(0, 70)")).toMatchObject({ ticks: 1n, remaining: 70n, interval: 70n });
	});

	it("stays as it is where it was stopped, or ran out once", () => {
		expect(timer(0, "(0, 0)", "(0, 70)")).toMatchObject({ ticks: 0n, remaining: 0n, interval: 70n });
		expect(timer(1, "(0, 0)", "(0, 0)")).toMatchObject({ ticks: 1n, remaining: 0n, interval: 0n });
	});
});
