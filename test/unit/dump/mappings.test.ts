import { describe, expect, it } from "vitest";
import { address } from "../../../src/bytes/address.ts";
import { classify } from "../../../src/dump/mappings.ts";
import type { Bounds } from "../../../src/forest/task.ts";
import { parseSmaps } from "../../../src/proc/smaps.ts";
import { refusal } from "../../support/refusal.ts";

const bounds = { startStack: address(0x7ffe_0000_1000n) } as Bounds;
const behind = {
	segments: false,
	objectOf: ({ inode }: { inode: bigint }) => Number(inode),
	isWritable: ({ device }: { device: string }) => device !== "0f:0f",
	otherNameOf: (_: unknown, path: string) => (path === "/linked/lib.so" ? "/linked/other.so" : undefined),
	ghostOf: ({ inode }: { inode: bigint }) => (inode > 1000n ? undefined : Number(inode)),
};

const vma = (header: string, flags = "", page = 4): string =>
	`${header}\nKernelPageSize: ${page} kB\nRss: 0 kB\nVmFlags: ${flags}\n`;
const classified = (...vmas: string[]) => classify(parseSmaps(vmas.join("")), bounds, behind);
const one = (header: string, flags = "", page = 4) => {
	const [first] = classified(vma(header, flags, page));
	if (first === undefined) throw new Error("no mapping");
	return first;
};

describe("what a VMA is", () => {
	it.each([
		["1000-2000 rw-p 00000000 00:00 0", { kind: "anonymous" }],
		["1000-2000 rw-p 00000000 00:00 0    [anon:jit]", { kind: "anonymous" }],
		["1000-2000 rw-p 00000000 00:00 0    [heap]", { kind: "anonymous", role: "heap" }],
		["7ffe00000000-7ffe00002000 rw-p 00000000 00:00 0    [stack]", { kind: "anonymous", role: "stack" }],
		["1000-2000 r-xp 00000000 00:00 0    [vdso]", { kind: "vdso" }],
		["1000-2000 --xp 00000000 00:00 0    [vsyscall]", { kind: "vsyscall" }],
		[
			"1000-2000 r--p 00003000 fe:00 9    /bin/a b",
			{ kind: "file", path: "/bin/a b", offset: 0x3000n, writable: false },
		],
		["1000-2000 rw-s 00000000 fe:00 9    /var/db", { kind: "file", path: "/var/db", offset: 0n, writable: true }],
		["1000-2000 rw-s 00001000 00:01 5    /dev/zero (deleted)", { kind: "object", object: 5, offset: 0x1000n }],
		["1000-2000 rw-s 00000000 00:01 6    [anon_shmem:x]", { kind: "object", object: 6, offset: 0n }],
		["1000-2000 r--p 00000000 00:01 7    /memfd:my name (deleted)", { kind: "object", object: 7, offset: 0n }],
		["1000-2000 rw-s 00000000 00:01 8    /SYSV00000000 (deleted)", { kind: "object", object: 8, offset: 0n }],
		["1000-2000 rw-p 00001000 00:01 5    /dev/zero (deleted)", { kind: "object", object: 5, offset: 0x1000n }],
		[
			"1000-2000 r--s 00001000 fe:00 33 /linked/lib.so (deleted)",
			{ kind: "file", path: "/linked/other.so", offset: 0x1000n, writable: true },
		],
		["200000-400000 rw-p 00000000 00:0f 9    /anon_hugepage (deleted)", { kind: "anonymous" }],
		["200000-400000 rw-s 00000000 00:0f 9    /anon_hugepage (deleted)", { kind: "object", object: 9, offset: 0n }],
	])("%s", (header, backing) => {
		const { mapping, orphan } = one(header);
		expect(mapping.backing).toEqual(backing);
		expect(orphan).toBeUndefined();
	});

	it("is that of a file without a name where that can still be read", () => {
		expect(one("1000-2000 rw-s 00001000 fe:00 33 /nowhere/lib.so (deleted)").mapping.backing).toEqual({
			...{ kind: "file", path: "/nowhere/lib.so", offset: 0x1000n, writable: true, ghost: 33 },
		});
	});

	it("tells a memfd that was mapped by a descriptor for reading", () => {
		expect(one("1000-2000 r--s 00000000 0f:0f 7    /memfd:x (deleted)").mapping.backing).toEqual({
			...{ kind: "object", object: 7, offset: 0n, writable: false },
		});
	});

	it("is memory of its own where its file was deleted and cannot be read", () => {
		expect(one("1000-2000 r-xp 00000000 fe:00 99999999 /nowhere/lib.so (deleted)")).toMatchObject({
			mapping: { backing: { kind: "anonymous" } },
			orphan: "/nowhere/lib.so",
		});
		expect(one("1000-2000 rw-s 00000000 fe:00 7777 /nowhere/db (deleted)")).toMatchObject({
			mapping: { backing: { kind: "object", object: 7777 } },
			orphan: "/nowhere/db",
		});
	});
});

it("tells the flags of mmap and the advice of madvise from VmFlags", () => {
	expect(one("1000-2000 rw-p 00000000 00:00 0", "rd wr gd lo nr").mapping.flags).toBe(0x100 | 0x2000 | 0x4000);
	expect(one("1000-2000 rw-p 00000000 00:00 0", "rd wr dp").mapping.flags).toBe(8);
	expect(one("200000-400000 rw-p 00000000 00:00 0", "ht", 2048).mapping.flags >>> 0).toBe((0x40000 | (21 << 26)) >>> 0);
	const advised = one("1000-2000 rw-p 00000000 00:00 0", "rr sr dc mg hg nh dd wf").mapping.advice;
	expect(advised).toBe([1, 2, 10, 12, 14, 15, 16, 18].reduce((bits, n) => bits | (1n << BigInt(n)), 0n));
});

it("makes one mapping of all pages in front of the vdso", () => {
	const found = classified(
		vma("1000-5000 r--p 00000000 00:00 0    [vvar]"),
		vma("5000-7000 r--p 00000000 00:00 0    [vvar_vclock]"),
		vma("7000-9000 r-xp 00000000 00:00 0    [vdso]"),
	);
	expect(found.map(({ mapping: { start, end, backing } }) => [start, end, backing.kind])).toEqual([
		[0x1000n, 0x7000n, "vvar"],
		[0x7000n, 0x9000n, "vdso"],
	]);
});

it("refuses all at once that cannot be dumped", () => {
	const refused = refusal(() =>
		classified(
			vma("1000-2000 rw-s 00000000 00:05 5    /dev/dri/card0", "rd io pf"),
			vma("2000-3000 rw-s 00000000 00:0e 5    anon_inode:[io_uring]"),
			vma("3000-4000 rw-s 00000000 00:0e 5    /[aio] (deleted)"),
			vma("4000-5000 rw-p 00000000 00:00 0", "rd um"),
		),
	);
	expect(refused).toBe(
		"ERR_UNSUPPORTED 4 mappings: 0x1000 shows the device /dev/dri/card0, 0x2000 shows anon_inode:[io_uring], 0x3000 is a ring of asynchronous I/O (io_setup), 0x4000 is watched by userfaultfd, which cannot be dumped yet",
	);
});
