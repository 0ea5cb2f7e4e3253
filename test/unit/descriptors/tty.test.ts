import { describe, expect, it } from "vitest";
import type { Slot } from "../../../src/descriptors/steps.ts";
import type { Terminal, Tty } from "../../../src/descriptors/terminal.ts";
import { terminalRecords } from "../../../src/descriptors/tty-images.ts";
import { madeTerminals, makeTerminals } from "../../../src/descriptors/tty-making.ts";
import type { Workshop } from "../../../src/descriptors/workshop.ts";
import { withEnds } from "../../../src/dump/terminals.ts";
import type { Step } from "../../../src/program/program.ts";

const settings = {
	...{ c_iflag: 0x500, c_oflag: 5, c_cflag: 0xbf, c_lflag: 0x8a3b, c_line: 0, c_ispeed: 0, c_ospeed: 0 },
	c_cc: Uint8Array.from(Buffer.from("031c7f150400010011131a0012170f16000000", "hex")),
};

const terminal: Terminal = { id: 0x8803, index: 3, settings, mastered: true };

/** What is done, in the words of each step. */
function made(ends: readonly Pick<Tty, "place" | "flags">[], own: Terminal): string[] {
	const slots = ends.map(
		(end, i): Slot<Tty> => ({
			...{ number: i, closeOnExec: false, key: `${i}` },
			content: { kind: "tty", id: i, path: "/dev/x", terminal: own, ...end },
		}),
	);
	const steps: Step[] = [];
	const keys = madeTerminals(slots).map(({ key }) => key);
	const workshop = {
		add: (call, args, why, options) => {
			const expect = options?.expect ?? "success";
			steps.push({ call, args: args as Step["args"], why, expect });
		},
		report: () => {},
		actor: { asUser: () => {}, asCaller: () => {} },
		inputs: {
			file: (path) => ({ number: 9, name: path, lent: false }),
			source: ({ name }) => ({ number: 8, name }),
			made: (key) => ({ number: 20 + keys.indexOf(key), name: key }),
		},
		behind: 99,
		copy: () => {},
	} satisfies Partial<Workshop> as unknown as Workshop;
	makeTerminals(slots, workshop);
	return steps.map(({ call, why }) => `${call} ${why}`);
}

describe("a pty", () => {
	it("is filled while nothing is made of what comes, gets its settings then, and its lock last", () => {
		const input = Buffer.from("ls\n");
		const own: Terminal = {
			...terminal,
			input,
			output: Buffer.from("out"),
			locked: true,
			packets: true,
			uid: 5,
			gid: 6,
		};
		expect(
			made(
				[
					{ place: "slave", flags: 2 },
					{ place: "master", flags: 2 },
				],
				own,
			),
		).toEqual([
			"ioctl may be opened: /dev/pts/3",
			"ioctl the slave /dev/pts/3",
			"fcntl /dev/pts/3 is 21",
			"close /dev/pts/3 is 21",
			"ioctl settings that change nothing of what waits in /dev/pts/3",
			"write was typed into /dev/pts/3",
			"poll /dev/pts/3 has what was typed",
			"ioctl the slave /dev/pts/3",
			"write was written to /dev/pts/3",
			"close what was written to /dev/pts/3 waits",
			"ioctl the settings of /dev/pts/3",
			"fchown who owns /dev/pts/3",
			"ioctl packets from /dev/pts/3",
			"ioctl must not be opened: /dev/pts/3",
			"fcntl its flags",
			"fcntl master of /dev/pts/3 is 20",
			"close master of /dev/pts/3 is 20",
		]);
	});

	it("of which nobody has the master is hung up, and a slave that was closed is closed", () => {
		expect(made([{ place: "slave", flags: 0 }], { id: 0x8803, index: 3 }).slice(-1)).toEqual([
			"close nobody had the master of /dev/pts/3: it is hung up",
		]);
		expect(made([{ place: "master", flags: 2 }], { ...terminal, slaveClosed: true })).toContain(
			"close nobody has the slave /dev/pts/3 any more",
		);
	});

	it("has an entry for each end, by CRIU's numbers, with what its reader has not read", () => {
		const { add, infos, data } = terminalRecords();
		const own: Terminal = { ...terminal, session: 7, foreground: 8, input: Buffer.from("a"), output: Buffer.from("b") };
		expect([add("slave", own), add("master", own), add("slave", own), add("current", own)]).toEqual([6, 7, 6, 2012]);
		expect(add("current", { ...own, id: 0x8804 })).toBe(2022);
		expect(infos.map(({ id, type, rdev, sid, pgrp }) => [id, type, rdev, sid, pgrp])).toEqual([
			[6, 1, 0x8803, 7, 8],
			[7, 1, 0x502, 7, 8],
			[2012, 4, 0x500, 7, 8],
			[2022, 4, 0x500, 7, 8],
		]);
		expect(infos[0]?.termios?.c_cc.slice(0, 5)).toEqual([0x157f_1c03, 0x0001_0004, 0x001a_1311, 0x160f_1712, 0]);
		expect(data.map(({ tty_id, data }) => [tty_id, Buffer.from(data).toString()])).toEqual([
			[6, "a"],
			[7, "b"],
		]);
	});
});

describe("what was typed", () => {
	it("has the character that ends input where the line discipline keeps a zero for it", () => {
		const text = (bytes: string, ready: number, lflag = settings.c_lflag): string | undefined =>
			withEnds(Buffer.from(bytes), ready, { ...settings, c_lflag: lflag })?.toString();
		expect(text("one\nend\0par", 7)).toBe("one\nend\x04par");
		expect(text("one\npar", 4)).toBe("one\npar");
		// a zero that was typed, and the character itself
		expect(text("o\0e\npar", 4)).toBeUndefined();
		expect(text("o\x04e\n", 4)).toBeUndefined();
		expect(text("o\0e\x04", 4, 0)).toBe("o\0e\x04");
	});
});
