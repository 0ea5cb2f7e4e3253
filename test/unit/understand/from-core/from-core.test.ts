import { describe, expect, test } from "vitest";
import { type Address, address } from "../../../../src/bytes/address.ts";
import { fromBuffer } from "../../../../src/bytes/source.ts";
import { readCore } from "../../../../src/core/core.ts";
import { taskFromCore } from "../../../../src/understand/from-core/from-core.ts";
import { type BuiltCore, buildCore } from "../../../support/builders/core-builder.ts";
import {
	changeSegment,
	deadCore,
	deadPlaces,
	deadThread,
	EXE,
	EXE_BUILD_ID,
	filled,
	LIBC,
	LIBC_BUILD_ID,
	P,
	withSegment,
} from "../../../support/builders/pair.ts";
import { present } from "../../../support/present.ts";

const { exe, heap, vdso } = deadPlaces;
const task = (core: BuiltCore = deadCore()) => taskFromCore(readCore(fromBuffer("core.7", buildCore(core))));

/** siginfo_t: number, code, and the union from byte 16. */
const siginfo = (signal: number, code: number, ...union: readonly (readonly [number, bigint])[]): Buffer => {
	const raw = Buffer.alloc(128);
	raw.writeInt32LE(signal, 0);
	raw.writeInt32LE(code, 8);
	for (const [at, value] of union) raw.writeBigUInt64LE(value, at);
	return raw;
};

describe("who died", () => {
	test("ids, name and owner are the leader's, and it comes first", () => {
		const core = deadCore({ tids: [500, 501, 502], uid: 1000, sid: 499 });
		const dead = task({ ...core, threads: [...core.threads].reverse() });
		expect(dead).toMatchObject({
			name: "core.7",
			writer: "kernel",
			pid: 500,
			ppid: 1,
			pgid: 500,
			sid: 499,
			comm: "prog",
		});
		expect(dead.owner).toEqual({ uid: 1000, gid: 1000 });
		expect(dead.threads.map(({ tid }) => tid)).toEqual([500, 502, 501]);
		expect(dead.death.tid).toBe(502);
	});

	test("without NT_PRPSINFO it is the first thread, and nobody is known to own it", () => {
		const dead = task({ ...deadCore(), process: null });
		expect([dead.pid, dead.comm, dead.owner, dead.pgid, dead.sid]).toEqual([500, "prog", undefined, 500, 500]);
	});

	test("ids that gdb leaves at zero are unknown, and so are masks and pending signals", () => {
		const core = deadCore();
		const threads = [deadThread(500, deadPlaces, 0, { ppid: 0, blocked: 5n, pending: 5n })];
		const dead = task({ ...core, style: "gdb", threads, process: { pid: 500, name: "prog" } });
		expect([dead.ppid, dead.pgid, dead.sid]).toEqual([undefined, undefined, undefined]);
		expect(dead.threads[0]).toMatchObject({ pending: 0n });
		expect(dead.threads[0]?.blocked).toBeUndefined();
	});
});

describe("how it died", () => {
	const death = (info?: Buffer, signal = 11) => {
		const thread = deadThread(500, deadPlaces, 0, { signal, ...(info === undefined ? {} : { siginfo: info }) });
		return task({ ...deadCore(), threads: [thread] }).death;
	};

	test("a fault will come again when the thread goes on", () => {
		expect(death(siginfo(11, 1, [16, 0x10n]))).toEqual({
			...{ tid: 500, signal: 11, words: "SIGSEGV at 0x10 (address not mapped)", synchronous: true },
		});
	});

	test("a signal that someone sent will not", () => {
		expect(death(siginfo(6, 0, [16, (1000n << 32n) | 77n]), 6)).toEqual({
			...{ tid: 500, signal: 6, words: "SIGABRT sent by pid 77 (uid 1000)", synchronous: false },
		});
	});

	test("without NT_SIGINFO only the number is known", () => {
		expect(death()).toEqual({ tid: 500, signal: 11, words: "SIGSEGV", synchronous: false });
	});

	test("gdb's cores are of the living", () => {
		const core = { ...deadCore(), style: "gdb" as const };
		expect(task(core).death).toEqual({
			...{ tid: 500, signal: 0, words: "it did not die: gdb copied it while it lived", synchronous: false },
		});
	});
});

describe("memory", () => {
	const kinds = (core?: BuiltCore) =>
		task(core).memory.mappings.flatMap(({ start, kernel }) => (kernel === undefined ? [] : [[start, kernel]]));

	test("the kernel's own mappings are told apart by the auxiliary vector", () => {
		expect(kinds()).toEqual([
			[vdso - 6n * P, "vvar"],
			[vdso - 2n * P, "vvar"],
			[vdso, "vdso"],
			[0xffffffffff600000n, "vsyscall"],
		]);
	});

	test.each([
		["a named mapping", { path: "/opt/table", offset: 0n }, 1],
		["a writable one", undefined, 3],
	])("%s directly below the vdso is no vvar", (_, file, prot) => {
		const core = deadCore();
		const segments = (core.segments ?? []).filter(({ start }) => start < vdso - 6n * P || start >= vdso);
		const below = { start: vdso - P, end: vdso, prot, bytes: filled(1) };
		expect(kinds(withSegment({ ...core, segments }, below, file))).toEqual([
			[vdso, "vdso"],
			[0xffffffffff600000n, "vsyscall"],
		]);
	});

	test("vvar is no larger than any kernel's", () => {
		const core = changeSegment(deadCore(), vdso - 6n * P, (it) => ({ ...it, start: it.start - P }));
		expect(kinds(core).map(([start]) => start)).toEqual([vdso - 2n * P, vdso, 0xffffffffff600000n]);
	});

	test("contents are whole pages by reference, cut where the segment was", () => {
		const core = changeSegment(deadCore(), heap, (it) => ({ ...it, bytes: filled(1).subarray(0, 4000) }));
		const { memory } = task(core);
		const content = present(memory.contents.find(({ start }) => start === heap));
		expect([content.length, content.available]).toEqual([P, 4000n]);
		expect(memory.mappings.find(({ start }) => start === heap)?.held).toBe(4000n);
		expect(memory.contents.some(({ start }) => start === exe + P)).toBe(false);
		expect(memory.mappings.find(({ start }) => start === exe + P)?.held).toBe(0n);
		expect(memory.read(heap as Address, 2)).toEqual(Buffer.of(1, 1));
		expect(memory.read(address(exe + P), 1)).toBeUndefined();
	});

	test("the executable is the file that holds the program headers, or else the entry point", () => {
		expect(task().memory.executable).toBe(EXE);
		const core = deadCore();
		const auxv = (core.auxv ?? []).filter(([type]) => type !== 3);
		expect(task({ ...core, auxv }).memory.executable).toBe(EXE);
		expect([...task().memory.buildIds]).toEqual([
			[EXE, EXE_BUILD_ID],
			[LIBC, LIBC_BUILD_ID],
		]);
	});
});

test("a thread with nothing but NT_FPREGSET has x87 and SSE", () => {
	const { xstate: _none, ...thread } = deadThread(500, deadPlaces, 0);
	const fx = Buffer.alloc(512);
	fx.writeUInt16LE(0x37f, 0);
	fx.writeUInt32LE(0x1f80, 24);
	const [first] = task({ ...deadCore(), threads: [{ ...thread, fx }] }).threads;
	expect(first?.xstate).toMatchObject({ xcr0: 3n, xstateBv: 3n, fx: { cwd: 0x37f, mxcsr: 0x1f80 } });
});

// folklore: processors with protection keys keep execute-only memory from the dumper, which writes zeros in its place
test("execute-only text is not in the core, though bytes are: they are zeros", () => {
	const text = { start: exe + P, end: exe + 3n * P, prot: 4, bytes: Buffer.alloc(2 * 4096) };
	const { mappings, contents } = task(changeSegment(deadCore(), exe + P, () => text)).memory;
	expect(mappings.find(({ start }) => start === exe + P)).toMatchObject({ prot: 4, held: 0n });
	expect(contents.some(({ start }) => start === exe + P)).toBe(false);
	// what a program compiled for itself is nowhere else
	const jit = withSegment(deadCore(), { start: 0x7f30_0000_0000n, end: 0x7f30_0000_1000n, prot: 4, bytes: filled(0) });
	expect(task(jit).memory.mappings.find(({ start }) => start === 0x7f30_0000_0000n)?.held).toBe(4096n);
});
