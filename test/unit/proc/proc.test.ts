import { describe, expect, it } from "vitest";
import { nanosecondsIn, parseFdinfo } from "../../../src/proc/fdinfo.ts";
import { parseLimits } from "../../../src/proc/limits.ts";
import { parseLock } from "../../../src/proc/locks.ts";
import { parseMaps, vdsoAreas } from "../../../src/proc/maps.ts";
import { parseSmaps } from "../../../src/proc/smaps.ts";
import { parseStat } from "../../../src/proc/stat.ts";
import { parseStatus } from "../../../src/proc/status.ts";
import { parseTimers } from "../../../src/proc/timers.ts";

// Texts are Linux 6.18's own, shortened.

describe("parseStatus", () => {
	const text = `Name:	a)	b
Umask:	0027
State:	T (stopped)
Tgid:	12
Pid:	13
TracerPid:	7
Uid:	1	2	3	4
Gid:	5	6	7	8
Groups:	10 20 
NSpid:	4012	12
Kthread:	0
VmSize:	    2540 kB
SigPnd:	0000000000000400
ShdPnd:	8000000000000000
CapInh:	0000000000000001
CapPrm:	000001fffeffffff
CapEff:	0000000000000002
CapBnd:	0000000000000004
CapAmb:	0000000000000008
NoNewPrivs:	1
Seccomp:	2
Cpus_allowed:	1,80000000
untag_mask:	0x7fffffffffffffff
`;

	it("reads ids, sets and states", () => {
		expect(parseStatus(text)).toEqual({
			...{
				name: "a)\tb",
				state: "T",
				tgid: 12,
				tracer: 7,
				nspids: [4012, 12],
				nspgids: [],
				nssids: [],
				kernelThread: false,
				umask: 0o27,
			},
			...{ uids: [1, 2, 3, 4], gids: [5, 6, 7, 8], groups: [10, 20], pending: 0x400n, sharedPending: 1n << 63n },
			...{ inheritable: 1n, permitted: 0x1fffeffffffn, effective: 2n, bounding: 4n, ambient: 8n },
			...{ noNewPrivileges: true, seccomp: 2, processors: 0x1_8000_0000n, untagMask: (1n << 63n) - 1n },
		});
	});

	it("knows a thread of the kernel by its flag, or by its lack of memory where there is none", () => {
		expect(parseStatus("Kthread:\t1\nVmSize:\t1 kB").kernelThread).toBe(true);
		expect(parseStatus("Name:\tkthreadd\n").kernelThread).toBe(true);
		expect(parseStatus("Name:\tsh\nVmSize:\t1 kB\n").kernelThread).toBe(false);
	});

	it("leaves out the umask that old kernels do not tell", () => {
		expect("umask" in parseStatus("Name:\tx\n")).toBe(false);
	});
});

describe("parseStat", () => {
	it("finds its fields behind a name of parentheses and spaces", () => {
		const fields = Array.from({ length: 52 }, (_, i) => `${i + 1}`);
		fields[1] = "(x) S 1 (y)";
		fields[2] = "S";
		fields[18] = "-5";
		fields[27] = "140737488347136";
		expect(parseStat(`${fields.join(" ")}\n`)).toEqual({
			...{
				comm: "x) S 1 (y",
				state: "S",
				ppid: 4,
				pgid: 5,
				sid: 6,
				terminal: 7,
				foreground: 8,
				nice: -5,
				startTime: 22n,
				realTimePriority: 40,
				exitStatus: 52,
			},
			bounds: {
				...{ startCode: 26n, endCode: 27n, startStack: 140737488347136n, startData: 45n, endData: 46n, startBrk: 47n },
				...{ argStart: 48n, argEnd: 49n, envStart: 50n, envEnd: 51n },
			},
		});
	});
});

describe("parseTimers", () => {
	it("reads timers of processes and of threads", () => {
		const text = `ID: 0
signal: 14/00007ffd12345678
notify: signal/pid.12
ClockID: 1
ID: 3
signal: 37/0000000000000000
notify: signal/tid.15
ClockID: -6
ID: 4
signal: 0/0000000000000001
notify: none/pid.12
ClockID: 0
`;
		expect(parseTimers(text)).toEqual([
			{ id: 0, signal: 14, value: 0x7ffd12345678n, notify: 0, clock: 1 },
			{ id: 3, signal: 37, value: 0n, notify: 4, thread: 15, clock: -6 },
			{ id: 4, signal: 0, value: 1n, notify: 1, clock: 0 },
		]);
		expect(parseTimers("")).toEqual([]);
	});
});

describe("parseSmaps", () => {
	const vma = (header: string, flags: string, rss = 0, page = 4): string =>
		`${header}\nSize:  64 kB\nKernelPageSize:  ${page} kB\nMMUPageSize:  4 kB\nRss:  ${rss} kB\nPss:  1 kB\nSwap:  4 kB\nSwapPss:  9 kB\nTHPeligible:    0\nVmFlags: ${flags} \n`;

	it("reads addresses, protections, files and flags", () => {
		const [file, anonymous, shared] = parseSmaps(
			[
				vma(
					"55e04ef4f000-55e04ef51000 r-xp 0000a000 fe:00 260601                     /usr/bin/a b (deleted)",
					"rd ex mr",
					8,
				),
				vma("7f0000000000-7f0000200000 rw-p 00000000 00:00 0 ", "rd wr gd lo", 0, 2048),
				vma("ffffffffff600000-ffffffffff601000 --xs 00000000 00:01 4294967297 [vsyscall]", "ex"),
			].join(""),
		);
		expect(file).toEqual({
			...{ start: 0x55e04ef4f000n, end: 0x55e04ef51000n, prot: 5, shared: false, offset: 0xa000n, device: "fe:00" },
			...{ inode: 260601n, name: "/usr/bin/a b (deleted)", protectionKey: 0, pageSize: 4096, touched: 12n * 1024n },
			flags: new Set(["rd", "ex", "mr"]),
		});
		expect(anonymous).toMatchObject({ name: "", pageSize: 2 << 20, touched: 4096n, prot: 3 });
		expect(anonymous?.flags).toEqual(new Set(["rd", "wr", "gd", "lo"]));
		expect(shared).toMatchObject({ start: 0xffffffffff600000n, prot: 4, shared: true, inode: 4294967297n });
	});

	it("gives a name its newlines back", () => {
		expect(parseSmaps(vma("1000-2000 r--p 00000000 fe:00 1   /tmp/a\\012b", "rd"))[0]?.name).toBe("/tmp/a\nb");
	});

	it("reads nothing from nothing", () => {
		expect(parseSmaps("")).toEqual([]);
	});
});

describe("parseFdinfo", () => {
	it("reads offset, flags, locks and what an epoll instance watches", () => {
		const info = parseFdinfo(`pos:	4096
flags:	0102002
mnt_id:	17
ino:	1038
lock:	1: POSIX  ADVISORY  WRITE 5 fe:00:12 0 EOF
tfd:       12 events:       19 data: abcdef0123456789  pos:0 ino:40e sdev:f
tfd:        3 events: 80000001 data:                7  pos:0 ino:40f sdev:f
eventfd-count:               29 
settime flags: 01
it_value: (1, 171000000)
`);
		expect(info).toMatchObject({
			position: 4096n,
			flags: 0o102002,
			locks: [{ kind: "posix", type: "write", pid: 5, device: 0xfe00000, inode: 12n, start: 0n, length: 0n }],
			targets: [
				{ number: 12, events: 0x19, data: 0xabcdef0123456789n },
				{ number: 3, events: 0x80000001, data: 7n },
			],
		});
		expect(info.field("eventfd-count")).toBe("29");
		expect(info.field("settime flags")).toBe("01");
		expect(info.field("sigmask")).toBeUndefined();
		expect(nanosecondsIn(info.field("it_value"))).toBe(1_171_000_000n);
		expect(nanosecondsIn(undefined)).toBe(0n);
	});
});

describe("parseLock", () => {
	it("reads locks of every kind, and gives what it does not know no kind", () => {
		const read = (text: string) => parseLock(text);
		expect(read("2: OFDLCK ADVISORY  READ  -1 00:2a:7 10 19")).toMatchObject({
			...{ kind: "ofd", type: "read", breaking: false, pid: -1, device: 42, inode: 7n, start: 10n, length: 10n },
		});
		expect(read("3: FLOCK  ADVISORY  WRITE 9 08:11:7 0 EOF")).toMatchObject({
			kind: "flock",
			type: "write",
			length: 0n,
		});
		expect(read("4: LEASE  ACTIVE    READ  9 00:2a:7 0 EOF")).toMatchObject({ kind: "lease", type: "read" });
		expect(read("5: LEASE  BREAKING  UNLCK 9 00:2a:7 0 EOF")).toMatchObject({ type: "none", breaking: true });
		for (const text of ["6: DELEG  ACTIVE    READ  9 00:2a:7 0 EOF", "7: FLOCK  MSNFS     RW    9 00:2a:7 0 EOF", "?"])
			expect([read(text).text, read(text).kind]).toEqual([text, undefined]);
	});
});

describe("parseLimits", () => {
	it("reads /proc/PID/limits, whose names have spaces and whose last column may be empty", () => {
		const text = [
			"Limit                     Soft Limit           Hard Limit           Units     ",
			"Max cpu time              unlimited            unlimited            seconds   ",
			"Max open files            1024                 524288               files     ",
			"Max nice priority         0                    40                   ",
			"",
		].join("\n");
		const infinity = 0xffff_ffff_ffff_ffffn;
		expect(parseLimits(text)).toEqual([
			{ soft: infinity, hard: infinity },
			{ soft: 1024n, hard: 524288n },
			{ soft: 0n, hard: 40n },
		]);
	});
});

describe("vdsoAreas", () => {
	const maps = (vclock: string): string =>
		`7ffe0000-7ffe1000 rw-p 00000000 00:00 0   [stack]
7fff1000-7fff5000 r--p 00000000 00:00 0                          [vvar]
${vclock}7fff7000-7fff9000 r-xp 00000000 00:00 0                          [vdso]
ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]
`;

	it("finds vvar and vdso, with the pages of virtual clocks between that kernels since 6.13 name apart", () => {
		const vclock = "7fff5000-7fff7000 r--p 00000000 00:00 0                          [vvar_vclock]\n";
		expect(vdsoAreas(parseMaps(maps(vclock)))).toMatchObject([
			{ start: 0x7fff1000n, end: 0x7fff5000n },
			{ start: 0x7fff5000n, end: 0x7fff7000n },
			{ start: 0x7fff7000n, end: 0x7fff9000n },
		]);
		expect(vdsoAreas(parseMaps(maps("")))).toHaveLength(2);
	});

	it("is not taken in by a file of that name", () => {
		expect(vdsoAreas(parseMaps("1000-2000 r--p 00000000 fe:00 12  /tmp/[vdso]\n"))).toEqual([]);
	});
});
