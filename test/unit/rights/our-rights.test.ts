import { describe, expect, it } from "vitest";
import { parseIdMap } from "../../../src/proc/namespaces.ts";
import { type ProcStatus, parseStatus } from "../../../src/proc/status.ts";
import { ourRights, primaryGroup, rightsFrom } from "../../../src/rights/our-rights.ts";

const status = (uid: number, gid: number, capabilities: string): ProcStatus =>
	parseStatus(
		`Name:\tnode\nUid:\t9\t${uid}\t8\t8\nGid:\t9\t${gid}\t8\t8\nCapPrm:\t${capabilities}\nCapEff:\t${capabilities}\nCapBnd:\t000001fffeffffff\n`,
	);
const WHOLE = parseIdMap("         0          0 4294967295\n");

describe("our rights", () => {
	it("are this process's", () => {
		expect(ourRights()).toMatchObject({ uid: process.geteuid?.(), gid: process.getegid?.() });
		expect(ourRights().mayBecome(process.geteuid?.() ?? -1, process.getegid?.() ?? -1)).toBe(true);
	});

	it("let root become anybody", () => {
		const rights = rightsFrom({ status: status(0, 0, "000001ffffffffff"), uidMap: WHOLE, gidMap: WHOLE });
		expect(rights.mayBecome(1000, 1000)).toBe(true);
		expect(rights.mayBecome(0, 0)).toBe(true);
	});

	it("let others be themselves only, and those with one capability of the two", () => {
		for (const capabilities of ["0000000000000000", "0000000000000040", "0000000000000080"]) {
			const rights = rightsFrom({ status: status(1000, 100, capabilities), uidMap: WHOLE, gidMap: WHOLE });
			expect([rights.mayBecome(1000, 100), rights.mayBecome(1000, 0), rights.mayBecome(0, 0)]).toEqual([
				true,
				false,
				false,
			]);
		}
		const both = rightsFrom({ status: status(1000, 100, "00000000000000c0"), uidMap: WHOLE, gidMap: WHOLE });
		expect(both.mayBecome(33, 33)).toBe(true);
	});

	it("hand on the capabilities that we have and may have", () => {
		const rights = rightsFrom({ status: status(0, 0, "000001ffff000000"), uidMap: WHOLE, gidMap: WHOLE });
		expect(rights.capabilities).toBe(0x1fffe000000n);
	});

	it("end at the user namespace", () => {
		const map = parseIdMap("         0       1000          1\n      1000     100000      65536\n");
		const rights = rightsFrom({ status: status(0, 0, "000001ffffffffff"), uidMap: map, gidMap: map });
		const may = [0, 1, 999, 1000, 66_535, 66_536].map((id) => rights.mayBecome(id, 0));
		expect(may).toEqual([true, false, false, true, true, false]);
		expect(rights.mayBecome(0, 1)).toBe(false);
	});

	it("are nobody's where /proc says nothing", () => {
		const rights = rightsFrom({ status: undefined, uidMap: [], gidMap: [] });
		expect([rights.uid, rights.capabilities, rights.mayBecome(0, 0)]).toEqual([65534, 0n, false]);
	});
});

it("a user's own group is the one in /etc/passwd", () => {
	const passwd =
		"root:x:0:0:root:/root:/bin/sh\nwww:x:33:34::/:/bin/false\n# x:x:55:1:\nbroken:x:56\nann:x:1000:100:Ann:/:\n";
	expect([0, 33, 1000, 56, 3, 100].map((uid) => primaryGroup(uid, passwd))).toEqual([
		0,
		34,
		100,
		undefined,
		undefined,
		undefined,
	]);
	expect(primaryGroup(0)).toBe(0);
});
