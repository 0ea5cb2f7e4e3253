import type { BigIntStats } from "node:fs";
import { describe, expect, it } from "vitest";
import { type Inotify, type InotifyWatch, inotify } from "../../../src/descriptors/inotify.ts";
import { see } from "../../../src/descriptors/kinds.ts";
import type { Slot } from "../../../src/descriptors/steps.ts";
import type { Finding } from "../../../src/finding.ts";
import { parseFdinfo } from "../../../src/proc/fdinfo.ts";
import type { Step } from "../../../src/program/program.ts";
import { asking } from "../../support/builders/asking.ts";
import { stepText } from "../../support/models/step-text.ts";

/** As Linux 6.18 writes it: the newest watch first, and no handle where the file system has none. */
const FDINFO = `pos:	0
flags:	02004000
mnt_id:	17
ino:	1038
inotify wd:1f ino:2 sdev:2c mask:106 ignored_mask:0 fhandle-bytes:c fhandle-type:1 f_handle:fd4b84ce0200000000000000
inotify wd:3 ino:1d608d sdev:fe00000 mask:80000100 ignored_mask:0 
inotify wd:1 ino:1d6078 sdev:fe00000 mask:2 ignored_mask:0 fhandle-bytes:8 fhandle-type:1 f_handle:78601d0044cc4be2
`;
const open = { number: 5, link: "anon_inode:inotify", stat: {} as BigIntStats, info: parseFdinfo(FDINFO) };

const watch = (number: number, more: Partial<InotifyWatch> = {}): InotifyWatch => ({
	...{ number, mask: 0x100, inode: 7n, device: 0x2c, path: "/tmp/d" },
	handle: { type: 1, bytes: Buffer.from("0102030405060708090a0b0c", "hex") },
	...more,
});
const instance = (watches: readonly InotifyWatch[], flags = 0): Inotify => ({ kind: "inotify", id: 9, flags, watches });

describe("an inotify instance", () => {
	it("is read from fdinfo, with the path of each watch", async () => {
		const reports: Finding[] = [];
		const ask = asking({
			find: async (inodes) => inodes.map(({ inode }) => (inode === 2n ? undefined : `/found/${inode.toString(16)}`)),
			unread: async () => 32,
			report: (finding) => void reports.push(finding),
		});
		expect(await see(open, ask).describe({ id: 9, flags: 0o4000 }, ask)).toEqual({
			...{ kind: "inotify", id: 9, flags: 0o4000 },
			watches: [
				{
					...{ number: 1, mask: 2, inode: 0x1d6078n, device: 0xfe0_0000, path: "/found/1d6078" },
					handle: { type: 1, bytes: Buffer.from("78601d0044cc4be2", "hex") },
				},
				{
					...{ number: 3, mask: 0x8000_0100, inode: 0x1d608dn, device: 0xfe0_0000, path: "/found/1d608d" },
					handle: { type: 0, bytes: Buffer.of() },
				},
			],
		});
		expect(reports.map(({ weight, subject, text }) => `${weight} ${subject} ${text}`)).toEqual([
			"loss descriptor 5 held 32 bytes of events that nobody had read; they are gone",
			"loss descriptor 5 its watch 31 is on inode 2 of device 0:44, of which no path is known; the watch is gone",
		]);
	});

	it("has a handle of sixteen words in images, as CRIU writes and expects it", () => {
		const entry = inotify.images.to(instance([watch(3)]), {} as never);
		const [record] = entry.ify?.wd ?? [];
		expect(record).toMatchObject({
			wd: 3,
			mask: 0x100,
			i_ino: 7n,
			s_dev: 0x2c,
			f_handle: { bytes: 12, type: 1, path: "/tmp/d" },
		});
		expect(record?.f_handle.handle).toEqual([0x0807060504030201n, 0x0c0b0a09n, ...new Array(14).fill(0n)]);
	});

	it("gets its watches under their numbers, and forgets what it sees meanwhile", () => {
		const steps: Step[] = [];
		const reports: string[] = [];
		const add = (call: string, args: readonly unknown[], why: string, options: object = {}): void =>
			void steps.push({ call, args, why, expect: "success", ...options } as unknown as Step);
		const at = { add, report: ({ text }: Finding) => void reports.push(text), actor: { asUser() {}, asCaller() {} } };
		const inputs = { file: (path: string) => ({ name: path, number: path.length, lent: false }) };
		const slot: Slot<Inotify> = {
			...{ number: 5, closeOnExec: false, key: "9" },
			content: instance([watch(1), watch(2, { path: "/tmp/other" }), watch(7), watch(8, { path: undefined } as never)]),
		};
		inotify.making.finish?.(slot, { ...at, inputs } as never, new Map());
		inotify.making.arm?.(slot, at as never);
		expect(steps.map(stepText)).toEqual([
			'inotify_add_watch(5, "/proc/self/fd/6", 256) = 1',
			'inotify_add_watch(5, "/proc/self/fd/10", 256) = 2',
			"ioctl(5, 0x40044900, 7)",
			'inotify_add_watch(5, "/proc/self/fd/6", 256) = 7',
			"read(5, <events of 5>, 0x1000) until-error",
			"fcntl(5, 4, 0)",
		]);
		expect(reports).toEqual(["its watch 8 is on inode 7 of device 0:44, of which no path is known; the watch is gone"]);
	});

	it("is shown with what it watches", () => {
		expect(inotify.remark?.(instance([watch(1), watch(3, { path: "/tmp/f" })]))).toBe("watches /tmp/d (1), /tmp/f (3)");
		expect(inotify.remark?.(instance([]))).toBeUndefined();
	});

	it("differs by its watches, not by those that were lost", () => {
		const found = { link: open.link, info: open.info, was: 1, is: 1 };
		const all = [watch(1, { mask: 2 }), watch(3, { mask: 0x8000_0100 }), watch(31, { mask: 0x106 })];
		expect(inotify.differs(instance(all), found)).toBeUndefined();
		expect(inotify.differs(instance(all.slice(1)), found)).toBe(
			"has watches 1 (0x2), 3 (0x80000100), 31 (0x106), expected 3 (0x80000100), 31 (0x106)",
		);
		expect(inotify.differs(instance([]), { ...found, link: "/dev/null" })).toBe(
			"is /dev/null, expected anon_inode:inotify",
		);
	});
});
