import { describe, expect, it } from "vitest";
import { type UserRegs, userRegs } from "../../../src/linux/registers.ts";
import { restartFixup } from "../../../src/linux/restart.ts";
import { fixtureNotes } from "../../support/fixture-core.ts";

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
