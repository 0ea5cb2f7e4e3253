import {
	type BigIntStats,
	linkSync,
	mkdtempSync,
	readlinkSync,
	renameSync,
	rmSync,
	statSync,
	writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import type { OpenDescriptor } from "../../../src/descriptors/ask.ts";
import { see } from "../../../src/descriptors/kinds.ts";
import { memfdName } from "../../../src/descriptors/memfd.ts";
import { unixSightsOf } from "../../../src/descriptors/unix-sights.ts";
import { lookAt } from "../../../src/dump/look.ts";
import { parseFdinfo } from "../../../src/proc/fdinfo.ts";
import { asking } from "../../support/builders/asking.ts";

const directory = mkdtempSync(join(tmpdir(), "necromancer-open-files-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const nothing = { mode: 0n, rdev: 0n, ino: 0n, dev: 0n } as BigIntStats;
const device = (rdev: bigint): BigIntStats => ({ ...nothing, mode: 0o020620n, rdev }) as BigIntStats;
const look = (path: string): BigIntStats => statSync(path, { bigint: true });

const opened = (link: string, stat: BigIntStats): OpenDescriptor => ({ number: 3, link, stat, info: parseFdinfo("") });

const here = lookAt(
	process.pid,
	new Map(),
	{ isElsewhere: () => false },
	{ unix: unixSightsOf([]), together: new Set([process.pid]) },
);

/** Its kind, and in words what it is that cannot be dumped. */
function seen(link: string, stat: BigIntStats): unknown {
	const { kind, undumpable } = see(opened(link, stat), here);
	return undumpable === undefined ? kind : [kind, undumpable];
}

/** What it is opened by again, or what its content is kept as. */
async function found(link: string, stat: BigIntStats): Promise<unknown> {
	const sighting = see(opened(link, stat), here);
	return sighting.describe({ id: 1, flags: 0 }, asking());
}

describe("what a descriptor refers to", () => {
	it.each([
		["pipe:[4711]", "pipe"],
		["anon_inode:[eventfd]", "eventfd"],
		["anon_inode:[fanotify]", "fanotify"],
		["anon_inode:[eventpoll]", "epoll"],
		["anon_inode:[signalfd]", "signalfd"],
		["anon_inode:[timerfd]", "timerfd"],
		["/memfd:a name (deleted)", "memfd"],
		["socket:[4711]", ["unknown", "a socket"]],
		["anon_inode:inotify", "inotify"],
		["anon_inode:[io_uring]", ["unknown", "a ring of io_uring"]],
		["anon_inode:[pidfd]", "pidfd"],
		["pidfd:[4711]", "pidfd"],
		["anon_inode:bpf-map", ["bpf-map", "a BPF object"]],
		["net:[1]", ["namespace", "the namespace net:[1]"]],
		[readlinkSync("/proc/self/ns/net"), "namespace"],
		["mnt:[1]", ["namespace", "the namespace mnt:[1]"]],
		["anon_inode:[perf_event]", ["unknown", "anon_inode:[perf_event]"]],
	])("%s", (link, kind) => {
		expect(seen(link, nothing)).toEqual(kind);
	});

	it("tells terminals from other devices", () => {
		const elsewhere = "of another mount of devpts than /dev/pts";
		expect(seen("/other/3", device(0x8803n))).toEqual(["tty", `the terminal /other/3, ${elsewhere}`]);
		expect(seen("/other/ptmx", device(0x502n))).toEqual(["tty", `the terminal /other/ptmx, ${elsewhere}`]);
		expect(seen("/dev/pts/3 (deleted)", device(0x8803n))).toEqual("tty");
		expect(seen("/dev/tty", device(0x500n))).toEqual("tty");
		expect(seen("/dev/null", look("/dev/null"))).toEqual("file");
		expect(seen("/dev/kvm", device(0xae8n))).toEqual(["unknown", "the device /dev/kvm"]);
		expect(seen("/dev/sda", { ...nothing, mode: 0o060660n } as BigIntStats)).toEqual([
			"unknown",
			"the special file /dev/sda",
		]);
	});

	it("takes a file for what it is as long as its name leads to it", async () => {
		const path = join(directory, "file");
		writeFileSync(path, "old");
		const stat = look(path);
		expect(await found(path, stat)).toMatchObject({ kind: "file", path, unlinked: false });
		writeFileSync(`${path}.new`, "new");
		renameSync(`${path}.new`, path);
		expect(await found(path, stat)).toMatchObject({ kind: "file", path, unlinked: true, ghost: 2 });
		expect(await found(`${path} (deleted)`, stat)).toMatchObject({ path, unlinked: true, ghost: 2 });
		// the nearest that leads to it
		linkSync(path, `${path}.link`);
		const linked = look(path);
		rmSync(path);
		expect(await found(`${path} (deleted)`, linked)).toMatchObject({ path: `${path}.link`, unlinked: false });
		expect(seen("/nowhere (deleted)", look(directory))).toEqual(["file", "the deleted directory /nowhere"]);
		const deleted = { ...nothing, mode: 0o040755n, nlink: 0n } as BigIntStats;
		expect(await found("/nowhere (deleted)", deleted)).toEqual(
			expect.objectContaining({ path: "/nowhere", mode: 0o040755, unlinked: true, ghost: 2 }),
		);
		const fifo = { ...nothing, mode: 0o010600n } as BigIntStats;
		expect(seen("/nowhere (deleted)", fifo)).toEqual("fifo");
		expect(seen(directory, look(directory))).toEqual("file");
	});

	it("knows shared memory that was opened by way of map_files", async () => {
		const stat = { ...nothing, mode: 0o100777n } as BigIntStats;
		for (const path of ["/dev/zero", "/SYSV00001234"])
			expect(await found(`${path} (deleted)`, stat)).toMatchObject({ kind: "memfd", name: path });
	});

	it("takes a file that is really called so for itself", async () => {
		const path = join(directory, "not gone (deleted)");
		writeFileSync(path, "");
		expect(await found(path, look(path))).toMatchObject({ kind: "file", path, unlinked: false });
	});
});

it("reads the name of a memfd", () => {
	expect(memfdName("/memfd:x (deleted)")).toBe("x");
	expect(memfdName("/memfd: (deleted) (deleted)")).toBe(" (deleted)");
	expect(memfdName("/tmp/memfd:x")).toBeUndefined();
});
