import { type BigIntStats, linkSync, mkdtempSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { requireDumpable } from "../../../src/dump/descriptor-policy.ts";
import { memfdName } from "../../../src/dump/objects.ts";
import { deviceText, kindOf, openDescriptors } from "../../../src/dump/open-files.ts";
import { parseFdinfo } from "../../../src/proc/fdinfo.ts";
import { refusal } from "../../support/refusal.ts";

const directory = mkdtempSync(join(tmpdir(), "necromancer-open-files-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const nothing = { mode: 0n, rdev: 0n, ino: 0n, dev: 0n } as BigIntStats;
const device = (rdev: bigint): BigIntStats => ({ ...nothing, mode: 0o020620n, rdev }) as BigIntStats;
const look = (path: string): BigIntStats => statSync(path, { bigint: true });

describe("what a descriptor refers to", () => {
	it.each([
		["pipe:[4711]", { kind: "pipe" }],
		["anon_inode:[eventfd]", { kind: "eventfd" }],
		["anon_inode:[eventpoll]", { kind: "epoll" }],
		["anon_inode:[signalfd]", { kind: "signalfd" }],
		["anon_inode:[timerfd]", { kind: "timerfd" }],
		["/memfd:a name (deleted)", { kind: "memfd", name: "a name" }],
		["socket:[4711]", { kind: "other", words: "a socket" }],
		["anon_inode:inotify", { kind: "other", words: "an inotify instance" }],
		["anon_inode:[io_uring]", { kind: "other", words: "a ring of io_uring" }],
		["anon_inode:[pidfd]", { kind: "other", words: "a pidfd" }],
		["net:[4026531992]", { kind: "other", words: "a namespace" }],
		["anon_inode:[perf_event]", { kind: "other", words: "anon_inode:[perf_event]" }],
	])("%s", (link, kind) => {
		expect(kindOf({ link, stat: nothing })).toEqual(kind);
	});

	it("tells terminals from other devices", () => {
		expect(kindOf({ link: "/dev/pts/3", stat: device(0x8803n) })).toEqual({ kind: "tty", path: "/dev/pts/3" });
		expect(kindOf({ link: "/dev/tty", stat: device(0x500n) })).toEqual({ kind: "tty", path: "/dev/tty" });
		expect(kindOf({ link: "/dev/null", stat: look("/dev/null") })).toEqual({ kind: "file", path: "/dev/null" });
		expect(kindOf({ link: "/dev/kvm", stat: device(0xae8n) })).toEqual({ kind: "other", words: "the device /dev/kvm" });
	});

	it("takes a file for what it is as long as its name leads to it", () => {
		const path = join(directory, "file");
		writeFileSync(path, "old");
		const stat = look(path);
		expect(kindOf({ link: path, stat })).toEqual({ kind: "file", path });
		writeFileSync(`${path}.new`, "new");
		renameSync(`${path}.new`, path);
		expect(kindOf({ link: path, stat })).toEqual({ kind: "ghost", path });
		expect(kindOf({ link: `${path} (deleted)`, stat })).toEqual({ kind: "ghost", path });
		// the nearest that leads to it
		linkSync(path, `${path}.link`);
		const linked = look(path);
		rmSync(path);
		expect(kindOf({ link: `${path} (deleted)`, stat: linked })).toEqual({ kind: "file", path: `${path}.link` });
		const gone = { link: "/nowhere (deleted)", stat: look(directory) };
		expect(kindOf(gone)).toEqual({ kind: "other", words: "the deleted directory /nowhere" });
		expect(kindOf({ link: directory, stat: look(directory) })).toEqual({ kind: "file", path: directory });
	});

	it("knows shared memory that was opened by way of map_files", () => {
		const stat = { ...nothing, mode: 0o100777n } as BigIntStats;
		for (const path of ["/dev/zero", "/SYSV00001234"])
			expect(kindOf({ link: `${path} (deleted)`, stat })).toEqual({ kind: "memfd", name: path });
	});

	it("takes a file that is really called so for itself", () => {
		const path = join(directory, "not gone (deleted)");
		writeFileSync(path, "");
		expect(kindOf({ link: path, stat: look(path) })).toEqual({ kind: "file", path });
	});
});

it("refuses what cannot be dumped by number and name, unless it need not be dumped", () => {
	const open = ["pipe:[1]", "anon_inode:inotify", "anon_inode:[fanotify]"].map((link, number) => ({
		...{ number, link, stat: nothing, info: parseFdinfo("") },
	}));
	expect(refusal(() => requireDumpable(process.pid, open, "error"))).toBe(
		"ERR_UNSUPPORTED descriptors 1, 2: 1 is an inotify instance, 2 is a fanotify group, which this version cannot dump; let /dev/null take its place with --missing-fds null, or leave it out with --missing-fds skip",
	);
	expect(refusal(() => requireDumpable(process.pid, open.slice(0, 2), "error"))).toMatch(
		/^ERR_UNSUPPORTED descriptor 1: is an inotify instance, which this version cannot dump; /,
	);
	for (const policy of ["null", "skip"] as const) requireDumpable(process.pid, open, policy);
	requireDumpable(process.pid, open.slice(0, 1), "error");
});

it("writes a device as /proc/PID/maps does", () => {
	expect(deviceText(0xfe00n)).toBe("fe:00");
	expect(deviceText(1n)).toBe("00:01");
	expect(deviceText(((0x12n << 12n) << 8n) | (0x103n << 8n) | 0x04n)).toBe("103:1204");
});

it("reads the name of a memfd", () => {
	expect(memfdName("/memfd:x (deleted)")).toBe("x");
	expect(memfdName("/memfd: (deleted) (deleted)")).toBe(" (deleted)");
	expect(memfdName("/tmp/memfd:x")).toBeUndefined();
});

it("takes what is closed between being listed and being looked at for none", () => {
	// who lists his own descriptors lists the one by which he does, and it is closed afterwards
	expect(openDescriptors(process.pid).map(({ number }) => number)).toContain(2);
});
