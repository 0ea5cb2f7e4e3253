import { describe, expect, test } from "vitest";
import type { BuiltThread } from "../../support/builders/core-builder.ts";
import { xstateArea } from "../../support/builders/core-builder.ts";
import {
	changeSegment,
	deadCore,
	deadPlaces,
	deadThread,
	donorPlaces,
	fsBaseOf,
	livingDonor,
	P,
	patchPair,
	REG,
	withVma,
} from "../../support/builders/pair.ts";
import { present } from "../../support/present.ts";

const unsigned = (value: bigint): bigint => BigInt.asUintN(64, value);
const withThread = (more: Parameters<typeof deadThread>[3]) => {
	const core = deadCore();
	return { ...core, threads: [deadThread(500, deadPlaces, 0, { pgrp: 500, sid: 500, ...more })] };
};
const IP = deadPlaces.exe + P + 0x10n;

describe("a thread that died in a system call", () => {
	test.each([
		["-ERESTARTSYS is made again", 202n, -512n, { ax: 202n, ip: IP - 2n }],
		["-ERESTARTNOINTR is made again", 0n, -513n, { ax: 0n, ip: IP - 2n }],
		["-ERESTARTNOHAND is made again", 34n, -514n, { ax: 34n, ip: IP - 2n }],
		["-ERESTART_RESTARTBLOCK returns EINTR", 230n, -516n, { ax: unsigned(-4n), ip: IP }],
		["EINTR returns it", 232n, -4n, { ax: unsigned(-4n), ip: IP }],
		["in restart_syscall returns EINTR, the block being gone", 219n, -512n, { ax: unsigned(-4n), ip: IP }],
	])("with %s", async (_, orig, ax, expected) => {
		const core = withThread({ changes: { [REG.ax]: unsigned(ax), [REG.orig_ax]: orig } });
		const registers = (await patchPair({ core })).core(500).message(2).message(2);
		expect({ ax: registers.number(REG.ax + 1), ip: registers.number(REG.ip + 1) }).toEqual(expected);
		expect(registers.number(REG.orig_ax + 1)).toBe(orig);
	});

	test("is not wound back when it was in none, whatever rax holds", async () => {
		const core = withThread({ changes: { [REG.ax]: unsigned(-512n) } });
		const registers = (await patchPair({ core })).core(500).message(2).message(2);
		expect([registers.number(REG.ax + 1), registers.number(REG.ip + 1)]).toEqual([unsigned(-512n), IP]);
	});

	test("has all its other registers in their fields, and runs in 64-bit mode", async () => {
		const { registers = [] } = present(deadCore().threads[0]);
		const image = (await patchPair({})).core(500).message(2).message(2);
		expect(registers.map((_, i) => image.number(i + 1))).toEqual(registers);
		expect(image.number(28)).toBe(1n);
	});

	test("loses a trap flag: single-stepped by nobody, it would die of SIGTRAP", async () => {
		const core = withThread({ changes: { [REG.flags]: 0x346n } });
		const { told, core: image } = await patchPair({ core });
		expect(
			image(500)
				.message(2)
				.message(2)
				.number(REG.flags + 1),
		).toBe(0x246n);
		expect(told).toContain("note thread 500: was being single-stepped; it resumes without the trap flag");
	});
});

describe("what lies in a thread's control block", () => {
	test("moves with the thread pointer", async () => {
		const tids = [500, 501, 502];
		const patched = await patchPair({ core: deadCore({ tids }), donor: livingDonor({ tids: [200, 201, 202] }) });
		for (const [n, tid] of tids.entries()) {
			const [info, attributes] = [patched.core(tid).message(2), patched.core(tid).message(5)];
			const fsBase = fsBaseOf(deadPlaces, n);
			expect(info.number(1)).toBe(fsBase + 0x2d0n);
			expect([attributes.number(1), attributes.number(2)]).toEqual([fsBase + 0x2e0n, 24n]);
			const rseq = attributes.message(15);
			expect([rseq.number(1), rseq.number(2), rseq.number(3)]).toEqual([fsBase + 0x920n, 32n, 0x53053053n]);
		}
		expect(patched.told).toEqual(present(await patchPair({})).told);
	});

	test("that holds another thread's id is doubted", async () => {
		const core = changeSegment(deadCore(), deadPlaces.tls, (segment) => {
			const bytes = Buffer.from(present(segment.bytes));
			bytes.writeInt32LE(77, 0x200 + 0x2d0);
			return { ...segment, bytes };
		});
		expect((await patchPair({ core })).told).toContain(
			"caution thread 500: its control block at 0x7f10001004d0 holds thread id 77; the donor's libc may be another one",
		);
	});

	test("musl's address to clear is a lock in its module, so it moves with the module", async () => {
		const donor = livingDonor();
		const lock = donorPlaces.libc + 3n * P + 0x123n;
		const threads = donor.threads.map((thread) => ({ ...thread, clearTid: lock }));
		const core = changeSegment(deadCore(), deadPlaces.libc + 3n * P, (segment) => ({
			...segment,
			bytes: Buffer.alloc(4096),
		}));
		const { core: image, told } = await patchPair({ core, donor: { ...donor, threads } });
		expect(image(500).message(2).number(1)).toBe(deadPlaces.libc + 3n * P + 0x123n);
		expect(told).toEqual((await patchPair({})).told);
	});

	test("is none where the donor had none, and nothing is missing", async () => {
		const donor = livingDonor();
		const threads = donor.threads.map((thread) => ({ ...thread, clearTid: 0n }));
		const { core: image, told } = await patchPair({ donor: { ...donor, threads } });
		expect(image(500).message(2).number(1)).toBe(0n);
		expect(told).toEqual((await patchPair({})).told);
	});

	test("without a place in the dead process is given up, and that is said", async () => {
		const foreign = { start: 0x7f20_0100_0000n, end: 0x7f20_0100_7000n, prot: 3, flags: 0x22, status: 0x201 };
		const donor = withVma(livingDonor(), foreign);
		const at = foreign.start + 0x100n;
		const threads = donor.threads.map((thread) => ({ ...thread, clearTid: at, robustList: at, rseq: at }));
		const { core: image, told } = await patchPair({ donor: { ...donor, threads } });
		const [info, attributes] = [image(500).message(2), image(500).message(5)];
		expect(info.number(1)).toBe(0n);
		expect([attributes.number(1), attributes.number(2), attributes.has(15)]).toEqual([0n, 0n, false]);
		expect(told).toEqual(
			expect.arrayContaining([
				"caution thread 500: the address to clear at its end is unknown; whoever joins it will wait for ever",
				"caution thread 500: robust futex list at 0x7f2001000100 of the donor has no place here; it is not registered",
				"caution thread 500: the area at 0x7f2001000100 of the donor has no place here; it is not registered",
			]),
		);
	});
});

describe("restartable sequences", () => {
	/** A core whose rseq area holds these words, and a descriptor of a critical section in the program's data. */
	const inSection = (
		area: { readonly cpu?: number; readonly cs?: bigint },
		section?: { flags?: number; start: bigint; length: bigint; abort: bigint },
	) => {
		const at = deadPlaces.exe + 3n * P + 0x40n;
		const withArea = changeSegment(deadCore(), deadPlaces.tls, (segment) => {
			const bytes = Buffer.from(present(segment.bytes));
			bytes.writeUInt32LE(area.cpu ?? 0, 0x200 + 0x920 + 4);
			bytes.writeBigUInt64LE(area.cs ?? (section === undefined ? 0n : at), 0x200 + 0x920 + 8);
			return { ...segment, bytes };
		});
		return changeSegment(withArea, deadPlaces.exe + 3n * P, (segment) => {
			const bytes = Buffer.from(present(segment.bytes));
			bytes.fill(0, 0x40, 0x60);
			bytes.writeUInt32LE(section?.flags ?? 0, 0x44);
			for (const [i, value] of [section?.start ?? 0n, section?.length ?? 0n, section?.abort ?? 0n].entries())
				bytes.writeBigUInt64LE(value, 0x48 + 8 * i);
			return { ...segment, bytes };
		});
	};
	const ipOf = async (core: ReturnType<typeof deadCore>) => {
		const { core: image, told } = await patchPair({ core });
		return {
			ip: image(500)
				.message(2)
				.message(2)
				.number(REG.ip + 1),
			told,
		};
	};

	test("a thread inside one resumes at its abort handler", async () => {
		const abort = deadPlaces.exe + P + 0x900n;
		const { ip, told } = await ipOf(inSection({}, { start: IP - 4n, length: 32n, abort }));
		expect(ip).toBe(abort);
		expect(told).toContain(
			"note thread 500: was inside a restartable sequence; it resumes at the abort handler 0x555555555900",
		);
	});

	test.each([
		["behind its commit", { start: IP - 32n, length: 32n, abort: IP + 0x100n }],
		["before it", { start: IP + 1n, length: 32n, abort: IP + 0x100n }],
		["whose abort handler lies inside it", { start: IP - 4n, length: 32n, abort: IP + 1n }],
	])("a thread %s goes on where it was", async (_, section) => {
		expect((await ipOf(inSection({}, section))).ip).toBe(IP);
	});

	test("a pointer to a section that the core does not hold changes nothing", async () => {
		expect((await ipOf(inSection({ cs: 0x10000n }))).ip).toBe(IP);
	});

	test("a thread that had none registered is not given one", async () => {
		const { told, core: image } = await patchPair({ core: inSection({ cpu: 0xffffffff }) });
		expect(image(500).message(5).has(15)).toBe(false);
		expect(told).toContain("note thread 500: was not registered in the dead process, nor is it now");
	});

	test("the donor's own section is forgotten", async () => {
		const donor = livingDonor();
		const threads = donor.threads.map((thread) => ({ ...thread, rseqCs: donorPlaces.exe + 3n * P }));
		const { core: image } = await patchPair({ donor: { ...donor, threads } });
		expect(image(500).message(5).message(15).has(4)).toBe(false);
	});
});

describe("FPU and vector registers", () => {
	const thread = (xstate: Buffer): BuiltThread => deadThread(500, deadPlaces, 0, { xstate });
	const fpu = async (xstate: Buffer, xsaveLayout = deadCore().xsaveLayout, donor = livingDonor()) => {
		const core = { ...deadCore(), threads: [thread(xstate)], ...(xsaveLayout === undefined ? {} : { xsaveLayout }) };
		const patched = await patchPair({ core, donor });
		return { told: patched.told, image: patched.core(500).message(2).message(3) };
	};
	const pkru = Buffer.from("f0ffffff00000000", "hex");

	test("PKRU is taken from where the layout note has it, as two words, and stays in use", async () => {
		const { image } = await fpu(xstateArea(2440, 0x207n, 0x202n, [[2432, pkru]]));
		expect(image.message(13).number(1)).toBe(0x202n);
		expect(image.message(13).numbers(8)).toEqual([0xfffffff0n, 0n]);
	});

	test("gdb, which shows PKRU as zero, does not unlock every key: the donor's is kept", async () => {
		const core = { ...deadCore(), style: "gdb" as const, threads: [thread(xstateArea(2696, 0x207n, 0x207n))] };
		const { xsaveLayout: _none, ...gdbs } = core;
		const image = (await patchPair({ core: gdbs })).core(500).message(2).message(3).message(13);
		expect(image.numbers(8)).toEqual([0x55555554n, 0n]);
		expect(image.number(1)).toBe(0x207n);
	});

	test("every list of the donor's processor is whole, whatever the core's had", async () => {
		const { image } = await fpu(xstateArea(2440, 0x7n, 0x3n), []);
		const xsave = image.message(13);
		expect([xsave.numbers(2).length, xsave.numbers(8).length]).toEqual([64, 2]);
		expect(xsave.number(1)).toBe(0x3n);
	});

	test("AVX-512 goes into lists of full length", async () => {
		const layout = [
			[2, 256, 576],
			[5, 64, 1088],
			[6, 512, 1152],
			[7, 1024, 1664],
			[9, 8, 2688],
		] as const;
		const area = xstateArea(2696, 0x2e7n, 0x2e7n, [
			[1088, Buffer.alloc(64, 1)],
			[1152, Buffer.alloc(512, 2)],
			[1664, Buffer.alloc(1024, 3)],
			[2688, pkru],
		]);
		const xsave = (await fpu(area, layout)).image.message(13);
		expect(xsave.number(1)).toBe(0x2e7n);
		expect([5, 6, 7].map((field) => xsave.numbers(field).length)).toEqual([8, 64, 128]);
		expect([5, 6, 7].map((field) => xsave.numbers(field)[0])).toEqual([1, 2, 3].map((byte) => repeated(byte)));
	});

	test("the tag byte of FXSAVE is not widened, and x87 and XMM arrive word by word", async () => {
		const area = xstateArea(2440, 0x207n, 0x203n, [
			[2, Buffer.from("0038", "hex")],
			[4, Buffer.from("0f00", "hex")],
			[32, Buffer.alloc(128, 0x11)],
			[160, Buffer.alloc(256, 0x22)],
			[2432, pkru],
		]);
		const { image } = await fpu(area);
		expect([1, 2, 3].map((field) => image.number(field))).toEqual([0x37fn, 0x3800n, 0xfn]);
		expect(image.numbers(9)).toEqual(new Array(32).fill(0x11111111n));
		expect(image.numbers(10)).toEqual(new Array(64).fill(0x22222222n));
	});

	test("MXCSR loses bits that the processor reserves, which would kill the process", async () => {
		const area = xstateArea(2440, 0x207n, 0x203n, [
			[24, Buffer.from("809fffffffff0200", "hex")],
			[2432, pkru],
		]);
		const { image } = await fpu(area);
		expect([image.number(7), image.number(8)]).toEqual([0x29f80n, 0x2ffffn]);
	});

	test("without any in the core starts with the donor's", async () => {
		const { xstate: _none, ...bare } = deadThread(500, deadPlaces, 0);
		const { told } = await patchPair({ core: { ...deadCore(), threads: [bare] } });
		expect(told).toContain("loss thread 500: the core has no FPU state; it starts with the donor's");
	});

	test("a shadow stack is left behind, and the thread runs without", async () => {
		const donor = livingDonor();
		const core = { ...deadCore(), threads: [deadThread(500, deadPlaces, 0, { shadowStack: 0x7f1000500ff8n })] };
		const threads = donor.threads.map((it) => ({ ...it, cet: 1n }));
		const { told, core: image } = await patchPair({ core, donor: { ...donor, threads } });
		expect(told).toContain("loss thread 500: ran with a shadow stack (pointer 0x7f1000500ff8); it resumes without one");
		const cet = image(500).message(2).message(3).message(13).message(9);
		expect([cet.number(1), cet.number(2)]).toEqual([0n, 0n]);
	});
});

const repeated = (byte: number): bigint => BigInt(`0x${byte.toString(16).padStart(2, "0").repeat(8)}`);
