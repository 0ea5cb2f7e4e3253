import { describe, expect, it } from "vitest";
import { fromBuffer } from "../../../src/bytes/source.ts";
import { coreJson } from "../../../src/cli/show/core-json.ts";
import { coreText } from "../../../src/cli/show/core-text.ts";
import { viewOfCore } from "../../../src/cli/show/core-view.ts";
import { jsonPieces } from "../../../src/cli/show/json-stream.ts";
import type { Paint } from "../../../src/cli/terminal.ts";
import { readAnyCore, readCore } from "../../../src/core/core.ts";
import { type BuiltNote, buildCore } from "../../support/builders/core-builder.ts";
import { present } from "../../support/present.ts";
import { refusal } from "../../support/refusal.ts";

// Cores of AArch64 as the kernel writes them: none can be made here, so they are built from arch/arm64/include/uapi/asm/ptrace.h.

/** `struct elf_prstatus`: 112 bytes, 34 words of registers, a flag. */
function prstatus(tid: number): Buffer {
	const bytes = Buffer.alloc(392);
	bytes.writeInt16LE(11, 12);
	bytes.writeInt32LE(tid, 32);
	for (let i = 0; i < 31; i++) bytes.writeBigUInt64LE(0x1000n + BigInt(i), 112 + 8 * i);
	bytes.writeBigUInt64LE(0x7ffff0n, 112 + 8 * 31);
	bytes.writeBigUInt64LE(0x400123n, 112 + 8 * 32);
	bytes.writeBigUInt64LE(0x6000_0000n, 112 + 8 * 33);
	return bytes;
}

const words = (...values: bigint[]): Buffer => Buffer.from(new BigUint64Array(values).buffer);
const linux = (type: number, desc: Uint8Array): BuiltNote => ({ owner: "LINUX", type, desc });
const as = (text: string): string => text;
const plain: Paint = { bold: as, dim: as, red: as, yellow: as, green: as, cyan: as };
const futex = Buffer.alloc(4);
futex.writeInt32LE(98);

function core(notes: readonly BuiltNote[]) {
	const fpsimd = Buffer.alloc(528);
	fpsimd.writeUInt32LE(0x10, 512);
	fpsimd.writeUInt32LE(0x300, 516);
	const bytes = Buffer.from(
		buildCore({
			threads: [{ tid: 77, prstatus: prstatus(77), fx: fpsimd }],
			process: { pid: 77, name: "armed" },
			auxv: [[3, 0x400040n]],
			files: [{ start: 0x400000n, end: 0x401000n, offset: 0n, path: "/opt/armed" }],
			segments: [
				{ start: 0x400000n, end: 0x401000n, prot: 5 },
				{ start: 0x7f0000n, end: 0x800000n, prot: 3, bytes: Buffer.alloc(0x10000, 1) },
			],
			extraNotes: notes,
		}),
	);
	bytes.writeUInt16LE(183, 18);
	return fromBuffer("core", bytes);
}

const all = [
	linux(0x401, words(0x7f00n, 0n)),
	linux(0x404, futex),
	linux(0x406, words(0x7f_0000_0000_0000n, 0x7e_0000_0000_0000n)),
	linux(0x40a, words(0xfn)),
	linux(0x410, words(1n, 3n, 0xffff_8000n)),
];

const shown = (notes: readonly BuiltNote[]) =>
	JSON.parse([...jsonPieces(coreJson(viewOfCore(readAnyCore(core(notes)))))].join(""));

describe("a core of AArch64", () => {
	it("is shown: registers, its system call, thread pointer, pointer authentication, guarded control stack", () => {
		const { machine, threads, death, otherNotes } = shown(all);
		expect([machine, death.signal, otherNotes]).toEqual(["AArch64", "SIGSEGV", []]);
		const [thread] = threads;
		expect(thread.registers).toMatchObject({ x0: "0x1000", x30: "0x101e", sp: "0x7ffff0", pc: "0x400123" });
		expect(thread.systemCall).toMatchObject({
			number: 98,
			name: "futex",
			arguments: ["0x1000", "0x1001", "0x1002", "0x1003", "0x1004", "0x1005"],
		});
		expect(thread.processor).toEqual({
			threadPointers: { tpidr: "0x7f00", tpidr2: "0x0" },
			floatingPoint: { fpsr: "0x10", fpcr: "0x300" },
			pointerAuthentication: { dataMask: "0x7f000000000000", codeMask: "0x7e000000000000" },
			guardedControlStack: { pointer: "0xffff8000", enabled: "0x1", locked: "0x3" },
		});
	});

	it("says so to people, and does not claim that a thread ran where nothing tells", () => {
		const text = (notes: readonly BuiltNote[]): string[] =>
			[...coreText(viewOfCore(readAnyCore(core(notes))), plain, true)].join("").split("\n");
		const lines = text(all);
		expect(lines).toContain("  processor   AArch64: here it can be looked at, and not run");
		expect(lines).toContain("      pointer authentication data mask 0x7f000000000000  code mask 0x7e000000000000");
		expect(lines).toContain("      guarded control stack pointer 0xffff8000  enabled 0x1  locked 0x3");
		const row = (lines: readonly string[]) =>
			present(lines.find((line) => line.startsWith("  77 "))).replace(/ +/g, " ");
		expect(row(lines)).toBe(" 77 armed+0x123 in futex(4096, FUTEX_WAKE, 4098)");
		expect(row(text([])).trimEnd()).toBe(" 77 armed+0x123");
	});

	it("is refused where it would have to run, and its notes are held against their sizes", () => {
		expect(refusal(() => readCore(core(all)))).toBe(
			"ERR_CORE_KIND core: is for AArch64, expected an x86-64 core; look at it with `necromancer show`; here it cannot run",
		);
		expect(refusal(() => readAnyCore(core([linux(0x406, words(1n))])))).toMatch(
			/^ERR_NOTE_SIZE core: pointer authentication masks at 0x[0-9a-f]+ is 8 bytes, expected 16$/,
		);
		expect(refusal(() => readAnyCore(core([all[1] ?? linux(0, futex), all[1] ?? linux(0, futex)])))).toMatch(
			/^ERR_CORE_CORRUPT core: has a second system call of thread 77 at 0x[0-9a-f]+, expected one$/,
		);
	});
});
