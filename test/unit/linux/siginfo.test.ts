import { describe, expect, it } from "vitest";
import { describeSiginfo } from "../../../src/arch/x86-64/siginfo-text.ts";
import { readSiginfo } from "../../../src/linux/siginfo.ts";
import { siginfoCode, siginfoCodeName } from "../../../src/linux/siginfo-codes.ts";
import { fixtureNotes } from "../../support/builders/fixture-core.ts";
import { refusal } from "../../support/refusal.ts";

/** A siginfo by hand: the union begins at byte 16. */
const raw = (signo: number, code: number, fill: (bytes: Buffer) => void = () => {}): Buffer => {
	const bytes = Buffer.alloc(128);
	bytes.writeInt32LE(signo, 0);
	bytes.writeInt32LE(code, 8);
	fill(bytes);
	return bytes;
};

const from =
	(pid: number, uid: number, value = 0n) =>
	(bytes: Buffer) => {
		bytes.writeInt32LE(pid, 16);
		bytes.writeUInt32LE(uid, 20);
		bytes.writeBigUInt64LE(value, 24);
	};

const address =
	(at: bigint, rest: (bytes: Buffer) => void = () => {}) =>
	(bytes: Buffer) => {
		bytes.writeBigUInt64LE(at, 16);
		rest(bytes);
	};

describe("describeSiginfo", () => {
	it.each<[string, Buffer]>([
		["SIGSEGV at 0x0 (address not mapped)", raw(11, 1)],
		["SIGSEGV at 0x7ffd00001000 (permission denied)", raw(11, 2, address(0x7ffd00001000n))],
		[
			"SIGSEGV at 0x10 (bounds exceeded: 0x20 to 0x30)",
			raw(
				11,
				3,
				address(0x10n, (bytes) => {
					bytes.writeBigUInt64LE(0x20n, 32);
					bytes.writeBigUInt64LE(0x30n, 40);
				}),
			),
		],
		[
			"SIGSEGV at 0x10 (protection key denies: key 3)",
			raw(
				11,
				4,
				address(0x10n, (bytes) => bytes.writeUInt32LE(3, 32)),
			),
		],
		["SIGSEGV raised by the kernel", raw(11, 0x80)],
		[
			"SIGBUS at 0x1000 (memory failure, 4096 bytes)",
			raw(
				7,
				4,
				address(0x1000n, (bytes) => bytes.writeInt16LE(12, 24)),
			),
		],
		["SIGBUS at 0x1000 (nothing at that address)", raw(7, 2, address(0x1000n))],
		["SIGFPE at 0x401000 (integer divide by zero)", raw(8, 1, address(0x401000n))],
		["SIGILL at 0x401000 (illegal operand)", raw(4, 2, address(0x401000n))],
		["SIGTRAP at 0x401000 (performance event)", raw(5, 6, address(0x401000n))],
		["SIGABRT sent by pid 1234 (uid 0)", raw(6, -6, from(1234, 0))],
		["SIGTERM sent by pid 1 (uid 4294967295)", raw(15, 0, from(1, 0xffff_ffff))],
		["SIGKILL sent by a process outside its namespace (uid 0)", raw(9, 0)],
		["SIGUSR1 queued by pid 7 (uid 8) with value 0xdead", raw(10, -1, from(7, 8, 0xdeadn))],
		["SIGRTMIN+1 from pid 7 (uid 8) (a message queue filled)", raw(35, -3, from(7, 8))],
		["SIGALRM from timer 3 (value 0x5, 2 overruns)", raw(14, -2, from(3, 2, 5n))],
		["SIGCHLD because child 9 exited with status 3", raw(17, 1, from(9, 0, 3n))],
		["SIGCHLD because child 9 was killed (SIGKILL)", raw(17, 2, from(9, 0, 9n))],
		["SIGIO for descriptor 5 (input available)", raw(29, 1, (bytes) => bytes.writeInt32LE(5, 24))],
		["SIGRTMIN for descriptor 5 (code 1)", raw(34, 1, (bytes) => bytes.writeInt32LE(5, 24))],
		[
			"SIGSYS at 0x401000 (seccomp refused getrandom)",
			raw(
				31,
				1,
				address(0x401000n, (bytes) => bytes.writeInt32LE(318, 24)),
			),
		],
		["SIGSEGV (code 77)", raw(11, 77)],
		["SIG99 sent by pid 1 (uid 0)", raw(99, 0, from(1, 0))],
		["no signal", raw(0, 0)],
	])("%s", (words, bytes) => {
		expect(describeSiginfo(bytes)).toBe(words);
	});

	it("tells how the fixtures died, and that gcore's stopped under gdb", () => {
		const died = (name: string): string => {
			const [note] = fixtureNotes(name).filter(({ type }) => type === 0x53494749);
			return describeSiginfo(note?.desc ?? Buffer.alloc(0));
		};
		expect(died("counter")).toBe("SIGABRT sent by pid 25422 (uid 0)");
		expect(died("counter-full")).toBe("SIGSEGV sent by pid 25485 (uid 0)");
		expect(died("threads-gcore")).toBe("SIGSTOP raised by the kernel");
	});
});

describe("readSiginfo", () => {
	it("refuses every length but 128", () => {
		for (const length of [...Array(128).keys(), 129]) {
			expect(refusal(() => readSiginfo(new Uint8Array(length), "core.7"))).toBe(
				`ERR_NOTE_SIZE core.7: siginfo is ${length} bytes, expected 128`,
			);
		}
	});

	it("reads the process that was signalled about", () => {
		expect(readSiginfo(raw(17, 1, from(9, 1000, 3n)))).toEqual({
			si_signo: 17,
			si_errno: 0,
			si_code: 1,
			cause: { kind: "child", pid: 9, uid: 1000, status: 3 },
		});
	});
});

describe("siginfoCodeName", () => {
	it("depends on the signal, then on nothing", () => {
		expect(siginfoCodeName(11, 1)).toBe("SEGV_MAPERR");
		expect(siginfoCodeName(7, 1)).toBe("BUS_ADRALN");
		expect(siginfoCodeName(11, -6)).toBe("SI_TKILL");
		expect(siginfoCodeName(11, 99)).toBe("99");
		expect(siginfoCode(10, 1)).toBeUndefined();
	});
});
