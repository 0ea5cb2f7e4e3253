import { describe, expect, it } from "vitest";
import { type UserRegs, userRegs } from "../../../../src/arch/x86-64/registers.ts";
import { interruptedCall, restartFixup, windBack } from "../../../../src/arch/x86-64/restart.ts";
import { fixtureNotes } from "../../../support/builders/fixture-core.ts";

const zero = userRegs.decode(new Uint8Array(userRegs.size));
const u64 = (value: bigint): bigint => BigInt.asUintN(64, value);
const at = (orig_ax: bigint, ax: bigint): UserRegs => ({
	...zero,
	ip: 0x401002n,
	orig_ax: u64(orig_ax),
	ax: u64(ax),
	di: 7n,
});

describe("restartFixup", () => {
	it.each<[string, bigint, bigint]>([
		["read, ERESTARTSYS", 0n, -512n],
		["ERESTARTNOINTR", 202n, -513n],
		["pause, ERESTARTNOHAND", 34n, -514n],
	])("makes the call again: %s", (_, call, code) => {
		expect(restartFixup(at(call, code))).toEqual({
			regs: { ...at(call, call), ip: 0x401000n },
			restart: "restarted",
		});
	});

	it.each<[string, bigint, bigint]>([
		["clock_nanosleep, ERESTART_RESTARTBLOCK", 230n, -516n],
		["restart_syscall, which has no block to go by", 219n, -516n],
		["restart_syscall, whatever its code", 219n, -512n],
	])("returns EINTR: %s", (_, call, code) => {
		expect(restartFixup(at(call, code))).toEqual({ regs: at(call, -4n), restart: "interrupted" });
	});

	it.each<[string, bigint, bigint]>([
		["no system call, though ax looks like a code", -1n, -512n],
		["a call that was done", 1n, 512n],
		["epoll_wait, already EINTR", 232n, -4n],
		["ENOIOCTLCMD is no restart code", 16n, -515n],
	])("leaves alone: %s", (_, call, ax) => {
		expect(restartFixup(at(call, ax))).toEqual({ regs: at(call, ax), restart: "none" });
	});

	it("treats five threads of a real core as the kernel would have", () => {
		const fixed = fixtureNotes("threads")
			.filter(({ owner, type }) => owner === "CORE" && type === 1)
			.map(({ desc }) => restartFixup(userRegs.decode(desc.subarray(112))))
			.map(({ regs, restart }) => [regs.orig_ax, BigInt.asIntN(64, regs.ax), restart]);
		expect(fixed).toEqual([
			[230n, -4n, "interrupted"],
			[202n, 202n, "restarted"],
			[202n, 202n, "restarted"],
			[0n, 0n, "restarted"],
			[232n, -4n, "none"],
		]);
	});
});

describe("windBack", () => {
	const code = (...bytes: number[]): Uint8Array => Uint8Array.from(bytes);

	it.each<[string, bigint, bigint]>([
		["read, ERESTARTSYS", 0n, -512n],
		["clock_nanosleep, whose time starts anew", 230n, -516n],
		["poll, whose time starts anew", 7n, -516n],
	])("makes the call again: %s", (_, call, restart) => {
		expect(windBack(at(call, restart))).toEqual({ ...at(call, call), ip: 0x401000n });
	});

	it("finds out in what a thread sleeps that was stopped before: by the instruction that loaded the number", () => {
		const sleeping = code(0xb8, 0xe6, 0, 0, 0, 0x0f, 0x05);
		expect(windBack(at(219n, -516n), sleeping)).toEqual({ ...at(230n, 230n), ip: 0x401000n });
	});

	it.each<[string, Uint8Array]>([
		["no code", code()],
		["another instruction", code(0x48, 0xe6, 0, 0, 0, 0x0f, 0x05)],
		["no syscall behind it", code(0xb8, 0xe6, 0, 0, 0, 0x90, 0x90)],
		["a call that leaves no block", code(0xb8, 1, 0, 0, 0, 0x0f, 0x05)],
		["code that is cut", code(0xb8, 0xe6, 0, 0, 0, 0x0f)],
	])("has it return EINTR where that does not help: %s", (_, bytes) => {
		expect(windBack(at(219n, -516n), bytes)).toEqual(at(219n, -4n));
	});

	it("leaves alone who is in no call, or has been answered", () => {
		for (const regs of [at(-1n, -516n), at(232n, -4n), at(1n, 512n)]) expect(windBack(regs)).toEqual(regs);
	});
});

describe("interruptedCall", () => {
	const wait = [0xb8, 0xe8, 0, 0, 0, 0x0f, 0x05];

	it("says which call a handler had interrupted, by the instruction that loaded the number", () => {
		const code = Uint8Array.from([...wait, 0x48, 0x3d]);
		expect(interruptedCall(at(-1n, -4n), code)).toEqual(at(232n, -4n));
	});

	it("undoes that a call is to be made again", () => {
		const behind = at(-1n, -4n).ip;
		const code = Uint8Array.from([0x90, 0x90, ...wait]);
		const regs = { ...at(-1n, 232n), ip: behind - 2n };
		expect(interruptedCall(regs, code)).toEqual(at(232n, -512n));
		expect(restartFixup(interruptedCall(regs, code)).regs).toEqual({ ...regs, orig_ax: 232n });
	});

	it.each<[string, bigint, number[]]>([
		["another result", 0n, [...wait, 0x48, 0x3d]],
		["another instruction", -4n, [0x48, ...wait.slice(1), 0x48, 0x3d]],
		["another number than the one that is loaded", 1n, [0x90, 0x90, ...wait]],
		["code that is cut", -4n, wait.slice(0, 6)],
	])("says nothing by %s", (_, result, code) => {
		expect(interruptedCall(at(-1n, result), Uint8Array.from(code))).toEqual(at(-1n, result));
	});
});
