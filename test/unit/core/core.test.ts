import { mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { fromBuffer, openFile } from "../../../src/bytes/source.ts";
import { readCore } from "../../../src/core/core.ts";
import { type BuiltCore, buildCore, xstateArea } from "../../support/builders/core-builder.ts";
import { refusal } from "../../support/refusal.ts";

const page = (fill: number): Buffer => Buffer.alloc(4096, fill);
const read = (core: BuiltCore) => readCore(fromBuffer("core.5739", buildCore(core)));
const refused = (core: BuiltCore) => refusal(() => read(core));
const one: BuiltCore = { threads: [{ tid: 5739, signal: 11 }] };

/** What a kernel writes for three threads, the second of which crashed. */
const three: BuiltCore = {
	process: { pid: 100, name: "server", args: "server --fast", uid: 1000, gid: 1001, nice: 5 },
	threads: [
		{
			tid: 101,
			signal: 11,
			blocked: 0x4000n,
			siginfo: Buffer.alloc(128, 1),
			fx: Buffer.alloc(512, 2),
			shadowStack: 0x7f00n,
		},
		{ tid: 100, signal: 11, registers: Array.from({ length: 27 }, (_, i) => BigInt(i) + 1n) },
		{ tid: 102, signal: 11, pending: 0x2n, fx: Buffer.alloc(512, 3) },
	],
	auxv: [
		[33, 0x7fff_0000_0000n],
		[6, 4096n],
	],
	segments: [
		{ start: 0x1000n, end: 0x3000n, prot: 1, bytes: page(1) },
		{ start: 0x5000n, end: 0x6000n, prot: 6 },
	],
	files: [{ start: 0x1000n, end: 0x3000n, offset: 0x2000n, path: "/bin/server" }],
};

describe.each(["kernel", "gdb"] as const)("a core in the order of %s", (style) => {
	const core = read({ ...three, style });

	test("says who wrote it", () => expect(core.writer).toBe(style));

	test("has the process", () => {
		expect(core.process).toMatchObject({
			...{ pr_pid: 100, pr_fname: "server", pr_psargs: "server --fast", pr_uid: 1000, pr_gid: 1001, pr_nice: 5 },
		});
		expect(core.auxv).toEqual([
			{ type: 33, value: 0x7fff_0000_0000n },
			{ type: 6, value: 4096n },
		]);
	});

	test("gives each thread its own notes", () => {
		expect(core.threads.map(({ status }) => status.pr_pid)).toEqual([101, 100, 102]);
		expect(core.threads.map(({ fx }) => fx?.[0])).toEqual([2, undefined, 3]);
		expect(core.threads.map(({ shadowStack }) => shadowStack)).toEqual([0x7f00n, undefined, undefined]);
		expect(core.threads.map(({ siginfo }) => siginfo?.length)).toEqual([128, undefined, undefined]);
		expect(core.siginfo).toEqual(new Uint8Array(128).fill(1));
		expect(core.threads[0]?.status).toMatchObject({ pr_cursig: 11, pr_sighold: 0x4000n });
		expect(core.threads[1]?.status.pr_reg).toMatchObject({
			r15: 1n,
			ax: 11n,
			orig_ax: 16n,
			ip: 17n,
			fs_base: 22n,
			gs: 27n,
		});
		expect(core.threads[2]?.status.pr_sigpend).toBe(2n);
	});

	test("has segments and files", () => {
		expect(core.segments.map(({ start, end, prot, available }) => [start, end, prot, available])).toEqual([
			[0x1000n, 0x3000n, 1, 4096n],
			[0x5000n, 0x6000n, 6, 0n],
		]);
		expect(core.files).toEqual([
			{ start: 0x1000n, end: 0x3000n, offset: 0x2000n, path: "/bin/server", deleted: false },
		]);
	});
});

describe("gdb is recognised by", () => {
	test("the unit of NT_FILE alone", () => {
		const files = [{ start: 0x1000n, end: 0x2000n, offset: 0n, path: "/a" }];
		expect(read({ ...one, files }).writer).toBe("kernel");
		expect(read({ ...one, files, filePageSize: 1n }).writer).toBe("gdb");
	});

	test("its target description alone, which is kept by name", () => {
		const extraNotes = [{ owner: "GDB", type: 0xff000000, desc: Buffer.alloc(9) }];
		const core = read({ ...one, extraNotes });
		expect(core.writer).toBe("gdb");
		expect(core.otherNotes).toEqual([{ owner: "GDB", type: 0xff000000, size: 9 }]);
	});
});

test("unsorted segments are sorted", () => {
	const starts = [0x9000n, 0x1000n, 0x5000n];
	const segments = starts.map((start) => ({ start, end: start + 0x1000n, prot: 3, bytes: page(Number(start >> 12n)) }));
	const core = read({ ...one, segments });
	expect(core.segments.map(({ start }) => start)).toEqual([0x1000n, 0x5000n, 0x9000n]);
	expect(core.segments.map(({ offset }) => core.source.read(offset, 1)?.[0])).toEqual([1, 5, 9]);
});

test("PN_XNUM and notes in several segments change nothing", () => {
	const plain = read(three);
	for (const core of [read({ ...three, xnum: true }), read({ ...three, noteSegments: 4 })]) {
		const offsets = ({ segments }: typeof core) => segments.map(({ start, end, available }) => [start, end, available]);
		expect({ ...core, source: undefined, segments: offsets(core) }).toEqual({
			...{ ...plain, source: undefined, segments: offsets(plain) },
		});
	}
});

test("unknown notes are named and kept, not fatal", () => {
	const extraNotes = [
		{ owner: "LINUX", type: 0x777, desc: Buffer.alloc(3) },
		{ owner: "vendor", type: 1, desc: Buffer.alloc(336) },
	];
	expect(read({ ...one, extraNotes }).otherNotes).toEqual([
		{ owner: "LINUX", type: 0x777, size: 3 },
		{ owner: "vendor", type: 1, size: 336 },
	]);
});

test("a core may lack its process, files, siginfo and vector registers", () => {
	const core = read({ threads: [{ tid: 5 }], process: null });
	expect(Object.keys(core).sort()).toEqual([
		"auxv",
		"files",
		"machine",
		"otherNotes",
		"segments",
		"source",
		"threads",
		"writer",
	]);
	expect(Object.keys(core.threads[0] ?? {})).toEqual(["status"]);
	expect(core.files).toEqual([]);
});

describe("the XSAVE area", () => {
	const avx = Buffer.alloc(256, 0xaa);
	const pkru = Buffer.from("5455555500000000", "hex");

	test("is read by the layout note at the end, for all threads", () => {
		const xstate = xstateArea(2440, 0x207n, 0x206n, [
			[576, avx],
			[2432, pkru],
		]);
		const threads = [1, 2].map((tid) => ({ tid, xstate }));
		const layout = [
			[2, 256, 576],
			[9, 8, 2432],
		] as const;
		for (const { xstate } of read({ threads, xsaveLayout: layout }).threads) {
			expect(xstate).toMatchObject({ xcr0: 0x207n, xstateBv: 0x206n });
			expect([...(xstate?.components ?? [])].map(([n, bytes]) => [n, Buffer.from(bytes)])).toEqual([
				[2, avx],
				[9, pkru],
			]);
		}
	});

	test("is guessed where there is none (gdb: PKRU at 2688)", () => {
		const xstate = xstateArea(2696, 0x207n, 0x207n, [
			[576, avx],
			[2688, pkru],
		]);
		const [thread] = read({ style: "gdb", threads: [{ tid: 1, xstate }] }).threads;
		expect(Buffer.from(thread?.xstate?.components.get(9) ?? [])).toEqual(pkru);
	});

	test("a hostile one is refused in the name of its thread", () => {
		const xstate = xstateArea(832, 0x7n, 0x7n);
		xstate.writeBigUInt64LE(1n << 63n, 520);
		expect(refused({ threads: [{ tid: 42, xstate }] })).toBe(
			"ERR_CORE_CORRUPT core.5739: thread 42: xsave area is compacted (xcomp_bv 0x8000000000000000), expected the standard format",
		);
		expect(refused({ threads: [{ tid: 42, xstate: Buffer.alloc(100) }] })).toBe(
			"ERR_NOTE_SIZE core.5739: thread 42: xsave area is 100 bytes, expected at least 576",
		);
	});
});

describe("notes of the wrong size are refused with where and how large", () => {
	test.each([
		[{ threads: [{ tid: 1, prstatus: Buffer.alloc(328) }] }, "elf_prstatus at 0xc4 is 328 bytes, expected 336"],
		[{ threads: [{ tid: 1, fx: Buffer.alloc(108) }] }, "floating-point registers at 0x2dc is 108 bytes, expected 512"],
		[{ threads: [{ tid: 1, siginfo: Buffer.alloc(64) }] }, "siginfo at 0x2c4 is 64 bytes, expected 128"],
		[
			{ ...one, extraNotes: [{ owner: "LINUX", type: 0x204, desc: Buffer.alloc(4) }] },
			"shadow stack pointer at 0x328 is 4 bytes, expected 8",
		],
		[
			{ ...one, auxv: null, extraNotes: [{ owner: "CORE", type: 6, desc: Buffer.alloc(17) }] },
			"auxiliary vector at 0x2c4 is 17 bytes, expected a multiple of 16",
		],
		[
			{ ...one, extraNotes: [{ owner: "LINUX", type: 0x205, desc: Buffer.alloc(1 << 17) }] },
			"XSAVE layout at 0x328 is 131072 bytes, expected at most 65536",
		],
	] satisfies [BuiltCore, string][])("%#", (core, message) => {
		expect(refused(core).replace(/ at 0x[0-9a-f]+ /, " at 0x… ")).toBe(
			`ERR_NOTE_SIZE core.5739: ${message.replace(/ at 0x[0-9a-f]+ /, " at 0x… ")}`,
		);
	});

	test("the place is that of the structure", () => {
		// 64 of header, 56 of program header, 12 of note header, 8 of "CORE".
		expect(refused({ threads: [{ tid: 1, prstatus: Buffer.alloc(328) }] })).toBe(
			"ERR_NOTE_SIZE core.5739: elf_prstatus at 0x8c is 328 bytes, expected 336",
		);
	});
});

describe("missing notes", () => {
	const tail = ", expected a core as Linux or gdb writes it; give the core itself, not one that a tool has reduced";
	test("no thread", () => {
		expect(refused({ threads: [] })).toBe(`ERR_NOTE_MISSING core.5739: has no thread (NT_PRSTATUS)${tail}`);
		expect(refused({ threads: [], noteSegments: 0 })).toBe(
			`ERR_NOTE_MISSING core.5739: has no thread (NT_PRSTATUS)${tail}`,
		);
	});
	test("no auxiliary vector", () => {
		expect(refused({ ...one, auxv: null })).toBe(
			`ERR_NOTE_MISSING core.5739: has no auxiliary vector (NT_AUXV)${tail}`,
		);
	});
});

describe("a core that contradicts itself is refused", () => {
	const segments = (...ranges: [bigint, bigint, number?][]): BuiltCore => ({
		...one,
		segments: ranges.map(([start, end, held = 0]) => ({ start, end, prot: 3, bytes: Buffer.alloc(held, 1) })),
	});
	test.each([
		[{ threads: [{ tid: 7 }, { tid: 7 }] }, "has two threads with id 7, expected distinct ids"],
		[{ threads: [{ tid: 0 }] }, "has a thread with id 0, expected a positive one"],
		[{ threads: [{ tid: -5 }] }, "has a thread with id -5, expected a positive one"],
		[
			segments([0x1000n, 0x3000n], [0x2000n, 0x4000n]),
			"segments 0x1000-0x3000 and 0x2000-0x4000 overlap, expected distinct mappings",
		],
		[
			segments([0x1000n, 0x2000n], [0x1000n, 0x2000n]),
			"segments 0x1000-0x2000 and 0x1000-0x2000 overlap, expected distinct mappings",
		],
		[
			segments([0x1000n, 0x2000n, 8192]),
			"segment 0x1000-0x2000 has 8192 bytes in the file, expected at most its 4096 of memory",
		],
		[segments([0x1800n, 0x2800n]), "segment 0x1800-0x2800 splits a page, expected whole pages"],
		[segments([0x1000n, 0x2800n]), "segment 0x1000-0x2800 splits a page, expected whole pages"],
		[
			segments([0xffff_ffff_ffff_f000n, (1n << 64n) + 0x1000n]),
			"segment 0xfffffffffffff000-0x10000000000001000 wraps around, expected it to end below 2^64",
		],
		[{ ...one, auxv: [[2 ** 33, 1n]] }, "auxiliary vector has type 8589934592, expected one of 32 bits"],
		[
			{ threads: [], extraNotes: [{ owner: "CORE", type: 2, desc: Buffer.alloc(512) }] },
			/^floating-point registers at 0x[0-9a-f]+ precedes every elf_prstatus, expected it to follow its thread's$/,
		],
		[
			{ ...one, extraNotes: [{ owner: "CORE", type: 6, desc: Buffer.alloc(16) }] },
			/^has a second auxiliary vector at 0x[0-9a-f]+, expected one$/,
		],
		[
			{ ...one, extraNotes: [{ owner: "CORE", type: 3, desc: Buffer.alloc(136) }] },
			/^has a second elf_prpsinfo at 0x[0-9a-f]+, expected one$/,
		],
		[
			{
				threads: [{ tid: 9, fx: Buffer.alloc(512) }],
				extraNotes: [{ owner: "CORE", type: 2, desc: Buffer.alloc(512) }],
			},
			/^has a second floating-point registers of thread 9 at 0x[0-9a-f]+, expected one$/,
		],
	] satisfies [BuiltCore, string | RegExp][])("%#", (core, finding) => {
		const [, code, message] = /^(\S+) core\.5739: (.*)$/.exec(refused(core)) ?? [];
		expect(code).toBe("ERR_CORE_CORRUPT");
		if (typeof finding === "string") expect(message).toBe(finding);
		else expect(message).toMatch(finding);
	});

	test("bytes beyond 2^64", () => {
		const core = buildCore({ ...one, segments: [{ start: 0x1000n, end: 0x2000n, prot: 1, bytes: page(1) }] });
		core.writeBigUInt64LE((1n << 64n) - 4096n, 64 + 56 + 8);
		expect(refusal(() => readCore(fromBuffer("core", core)))).toBe(
			"ERR_CORE_CORRUPT core: segment 0x1000-0x2000 has 4096 bytes at file offset 0xfffffffffffff000, " +
				"expected them to end below 2^64",
		);
	});
});

describe("a core that was cut short names what is missing first", () => {
	const whole = buildCore({
		...one,
		segments: [
			{ start: 0x1000n, end: 0x2000n, prot: 1, bytes: page(1) },
			{ start: 0x7000n, end: 0x9000n, prot: 1, bytes: Buffer.alloc(8192, 2) },
		],
	});
	const remedy =
		"the dump was cut short: raise RLIMIT_CORE (ulimit -c unlimited) or make room on the disk, and dump again";
	test.each([
		[300, "inside the notes"],
		[4096, "before segment 0x1000-0x2000"],
		[4097, "inside segment 0x1000-0x2000"],
		[8192, "before segment 0x7000-0x9000"],
		[16383, "inside segment 0x7000-0x9000"],
	])("at %i bytes", (length, place) => {
		expect(refusal(() => readCore(fromBuffer("core", whole.subarray(0, length))))).toBe(
			`ERR_CORE_TRUNCATED core: ends at 0x${length.toString(16)} (${length} bytes) ${place}, ` +
				`expected at least 16384 bytes; ${remedy}${place.endsWith("notes") ? "" : ", or raise it without what is missing (raise --truncated)"}`,
		);
	});

	test("on request it is taken for what is there", () => {
		const { segments } = readCore(fromBuffer("core", whole.subarray(0, 9000)), { truncated: true });
		expect(segments.map(({ available, missing }) => [available, missing])).toEqual([
			[4096n, undefined],
			[808n, 7384n],
		]);
		const { segments: none } = readCore(fromBuffer("core", whole.subarray(0, 4097)), { truncated: true });
		expect(none.map(({ available, missing }) => [available, missing])).toEqual([
			[1n, 4095n],
			[0n, 8192n],
		]);
	});

	test("gdb's ends in its notes", () => {
		const core = buildCore({ ...three, style: "gdb" });
		expect(refusal(() => readCore(fromBuffer("core", core.subarray(0, -1))))).toContain(" inside the notes, ");
	});
});

test("a core far larger than memory is read by its headers alone", () => {
	const directory = mkdtempSync(join(tmpdir(), "necromancer-large-"));
	const path = join(directory, "large");
	try {
		const size = 1n << 40n;
		const core = buildCore({ ...one, segments: [{ start: 0x10000n, end: 0x11000n, prot: 3, bytes: page(9) }] });
		// The one segment's p_filesz and p_memsz.
		for (const at of [32, 40]) core.writeBigUInt64LE(size, 64 + 56 + at);
		writeFileSync(path, core);
		truncateSync(path, 2 ** 40 + 8192);
		const source = openFile(path, "large");
		const [segment] = readCore(source).segments;
		expect(segment).toMatchObject({ start: 0x10000n, end: 0x10000n + size, available: size });
		source.close();
	} finally {
		rmSync(directory, { recursive: true, force: true });
	}
});
