import type { BigIntStats } from "node:fs";
import { describe, expect, it } from "vitest";
import { type Fanotify, fanotify } from "../../../src/descriptors/fanotify.ts";
import { see } from "../../../src/descriptors/kinds.ts";
import type { Slot } from "../../../src/descriptors/steps.ts";
import type { Finding } from "../../../src/finding.ts";
import { parseFdinfo } from "../../../src/proc/fdinfo.ts";
import type { Step } from "../../../src/program/program.ts";
import { asking } from "../../support/builders/asking.ts";
import { stepText } from "../../support/models/step-text.ts";

/** As Linux 6.18 writes it: marks of two inodes and of a mount, and one of which nothing is left. */
const FDINFO = `pos:	0
flags:	02004002
mnt_id:	17
ino:	1038
fanotify flags:13 event-flags:8000
fanotify ino:7 sdev:2c mflags:0 mask:0 ignored_mask:0 fhandle-bytes:8 fhandle-type:1 f_handle:eaf7030000000000
fanotify ino:1 sdev:6 mflags:640 mask:0 ignored_mask:2 fhandle-bytes:c fhandle-type:1 f_handle:c5c7b5350100000000000000
fanotify mnt_id:1b mflags:40 mask:40000030 ignored_mask:3
fanotify ino:21c251 sdev:fe00000 mflags:0 mask:48000020 ignored_mask:0 fhandle-bytes:8 fhandle-type:1 f_handle:51c221005a40de1b
`;
const shown = (text: string) => ({
	...{ number: 5, link: "anon_inode:[fanotify]", stat: {} as BigIntStats, info: parseFdinfo(text) },
});

const group: Fanotify = {
	...{ kind: "fanotify", id: 9, flags: 0o4002, groupFlags: 0x13, eventFlags: 0x8000 },
	marks: [
		{
			...{ on: "inode", flags: 0x640, mask: 0, ignored: 2, inode: 1n, device: 6, path: "/found/1" },
			handle: { type: 1, bytes: Buffer.from("c5c7b5350100000000000000", "hex") },
		},
		{ on: "mount", flags: 0x40, mask: 0x4000_0030, ignored: 3, mount: 0x1b, device: 0, path: "/mounted" },
		{
			...{ on: "inode", flags: 0, mask: 0x4800_0020, ignored: 0, inode: 0x21c251n, device: 0xfe0_0000 },
			...{ path: "/found/21c251", handle: { type: 1, bytes: Buffer.from("51c221005a40de1b", "hex") } },
		},
	],
};

describe("a fanotify group", () => {
	it("is read from fdinfo, with the path of each mark", async () => {
		const ask = asking({
			find: async (inodes) => inodes.map(({ inode }) => `/found/${inode.toString(16)}`),
			mountPoint: async (id) => (id === 0x1b ? "/mounted" : undefined),
		});
		expect(await see(shown(FDINFO), ask).describe({ id: 9, flags: 0o4002 }, ask)).toEqual(group);
	});

	it("loses events that nobody had read, and marks that nothing leads to, which is told", async () => {
		const reports: Finding[] = [];
		const ask = asking({ unread: async () => 48, report: (finding) => void reports.push(finding) });
		expect(await see(shown(FDINFO), ask).describe({ id: 9, flags: 0o4002 }, ask)).toEqual({ ...group, marks: [] });
		expect(reports.map(({ weight, subject, text }) => `${weight} ${subject} ${text}`)).toEqual([
			"loss descriptor 5 held 48 bytes of events that nobody had read; they are gone",
			"loss descriptor 5 its mark of inode 1 on device 0:6 has no path that is known; the mark is gone",
			"loss descriptor 5 its mark of mount 27 on device 0:0 has no path that is known; the mark is gone",
			"loss descriptor 5 its mark of inode 2212433 on device 254:0 has no path that is known; the mark is gone",
		]);
	});

	it.each([
		[
			"fanotify flags:0 event-flags:0\nfanotify sdev:fe00000 mflags:0 mask:18 ignored_mask:0",
			"watches a whole file system",
		],
		[
			"fanotify flags:0 event-flags:0\nfanotify mnt_ns:1 mflags:0 mask:18 ignored_mask:0",
			"with a mark of an unknown kind",
		],
		[
			"fanotify flags:4 event-flags:0\nfanotify mnt_id:1b mflags:0 mask:10000 ignored_mask:0",
			"is asked for permission",
		],
		["fanotify flags:e00 event-flags:0", "names files by handles (FAN_REPORT_FID)"],
	])("%j is refused by name", (lines, words) => {
		expect(see(shown(`${lines}\n`), asking()).undumpable).toMatch(
			new RegExp(`^a fanotify group (that )?${words.replace(/[()]/g, "\\$&")}$`),
		);
	});

	it("is written as CRIU does, and read back", () => {
		const entry = fanotify.images.to(group, { owner: { uid: 0, euid: 0, signum: 0, pid_type: 0, pid: 0 } } as never);
		expect(entry.ffy).toMatchObject({
			...{ faflags: 0x13, evflags: 0x8000, flags: 0o4002 },
			mark: [
				{
					type: 1,
					mflags: 0x640,
					mask: 0,
					ignored_mask: 2,
					s_dev: 6,
					ie: { i_ino: 1n, f_handle: { bytes: 12, type: 1 } },
				},
				{ type: 2, mflags: 0x40, mask: 0x4000_0030, ignored_mask: 3, me: { mnt_id: 0x1b, path: "/mounted" } },
				{ type: 1, mask: 0x4800_0020, ie: { f_handle: { path: "/found/21c251" } } },
			],
		});
		expect(fanotify.images.from(entry, { subject: "files.img" } as never)).toEqual(group);
	});

	it("is made with the flags that it was made with, and marked by what leads there", () => {
		const steps: Step[] = [];
		const reports: string[] = [];
		const add = (call: string, args: readonly unknown[], why: string, options: object = {}): void =>
			void steps.push({ call, args, why, expect: "success", ...options } as unknown as Step);
		const asked: unknown[] = [];
		const fds = {
			...{ add, report: ({ text }: Finding) => void reports.push(text), moveTo: () => {} },
			actor: { asUser: (keeping: bigint) => void asked.push(keeping), asCaller: () => {} },
			inputs: { file: (path: string) => ({ name: path, number: path.length, lent: false }) },
			open: (call: string, args: readonly unknown[], why: string): number => {
				add(call, args, why);
				return 5;
			},
		};
		const slot: Slot<Fanotify> = { number: 5, closeOnExec: false, key: "9", content: { ...group, flags: 2 } };
		const { open, finish, unaided } = fanotify.making;
		if (typeof open !== "function" || finish === undefined || unaided === undefined) throw new RangeError("not made");
		open(slot, fds as never, [slot]);
		finish(slot, fds as never, new Map());
		expect(steps.map(stepText)).toEqual([
			"fanotify_init(19, 0x8000)",
			"fcntl(5, 2, 0)",
			"fcntl(5, 4, 0)",
			'fanotify_mark(5, 0x641, 2, -100, "/proc/self/fd/8")',
			'fanotify_mark(5, 17, 0x40000030, -100, "/proc/self/fd/8")',
			'fanotify_mark(5, 113, 3, -100, "/proc/self/fd/8")',
			'fanotify_mark(5, 1, 0x48000020, -100, "/proc/self/fd/13")',
		]);
		expect(reports).toEqual(["watches the mount that /mounted is on now, also what the restore does there"]);
		const needed = 1n << 21n;
		expect(asked).toEqual([needed, needed, needed, needed]);
		asked.length = 0;
		open({ ...slot, content: unaided(group) }, fds as never, [slot]);
		expect(asked).toEqual([0n]);
	});

	it("differs by its flags and marks", () => {
		const found = { ...shown(FDINFO), was: 1, is: 1 };
		expect(fanotify.differs(group, found)).toBeUndefined();
		expect(fanotify.differs({ ...group, marks: [] }, found)).toBe(
			"has flags 0x13, event flags 0x8000, marks of a mount (0x40000030, but 0x3 by 0x40), an inode (0x0, but 0x2 by 0x640), an inode (0x48000020), expected flags 0x13, event flags 0x8000, marks of nothing",
		);
		expect(fanotify.differs(group, { ...found, link: "/dev/null" })).toBe(
			"is /dev/null, expected anon_inode:[fanotify]",
		);
		expect(fanotify.remark?.(group)).toBe("watches /found/1, the mount /mounted, /found/21c251");
	});
});
