import { describe, expect, it } from "vitest";
import {
	abortedIp,
	isRseqRegistered,
	RSEQ_CPU_ID_REGISTRATION_FAILED,
	RSEQ_CPU_ID_UNINITIALIZED,
	RSEQ_CS_FLAG,
	RSEQ_REGISTERED_SIZE,
	type RseqCs,
	rseqArea,
	rseqCs,
} from "../../../../src/arch/x86-64/rseq.ts";
import { type Address, address } from "../../../../src/bytes/address.ts";

const section: RseqCs = { version: 0, flags: 0, start_ip: 0x1000n, post_commit_offset: 0x20n, abort_ip: 0x2000n };
const at = (value: bigint): Address => address(value);

describe("abortedIp", () => {
	it.each<[bigint, bigint | undefined]>([
		[0xfffn, undefined],
		[0x1000n, 0x2000n],
		[0x101fn, 0x2000n],
		[0x1020n, undefined],
		[0n, undefined],
		[0xffff_ffff_ffff_ffffn, undefined],
	])("ip %x", (ip, expected) => {
		expect(abortedIp(at(ip), section)).toBe(expected);
	});

	it("lets a section go on that asked for it, in its descriptor or in the thread's area", () => {
		expect(abortedIp(at(0x1000n), { ...section, flags: RSEQ_CS_FLAG.NO_RESTART_ON_SIGNAL })).toBeUndefined();
		expect(abortedIp(at(0x1000n), section, RSEQ_CS_FLAG.NO_RESTART_ON_SIGNAL)).toBeUndefined();
		expect(abortedIp(at(0x1000n), { ...section, flags: RSEQ_CS_FLAG.NO_RESTART_ON_PREEMPT })).toBe(0x2000n);
	});

	it("does not believe a section that the kernel would kill for", () => {
		expect(abortedIp(at(0x1000n), { ...section, version: 1 })).toBeUndefined();
		expect(abortedIp(at(0x1000n), { ...section, abort_ip: 0x1010n })).toBeUndefined();
		expect(abortedIp(at(0x1000n), { ...section, post_commit_offset: 0xffff_ffff_ffff_ffffn })).toBeUndefined();
	});
});

describe("struct rseq", () => {
	it("is as long as glibc registers it, and so is struct rseq_cs", () => {
		expect(rseqArea.size).toBe(RSEQ_REGISTERED_SIZE);
		expect(rseqCs.size).toBe(32);
		expect([rseqArea.offsetOf("node_id"), rseqArea.offsetOf("mm_cid")]).toEqual([20, 24]);
	});

	it("says whether it was registered", () => {
		expect(isRseqRegistered({ cpu_id: 0 })).toBe(true);
		expect(isRseqRegistered({ cpu_id: RSEQ_CPU_ID_UNINITIALIZED })).toBe(false);
		expect(isRseqRegistered({ cpu_id: RSEQ_CPU_ID_REGISTRATION_FAILED })).toBe(false);
	});
});
