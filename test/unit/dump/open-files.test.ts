import type { BigIntStats } from "node:fs";
import { expect, it } from "vitest";
import type { Agent } from "../../../src/agent/agent.ts";
import { type MissingDescriptors, requireDumpable } from "../../../src/dump/descriptor-policy.ts";
import { deviceText, type OpenOf, openDescriptors } from "../../../src/dump/open-files.ts";
import { terminalTable } from "../../../src/dump/terminals.ts";
import { parseFdinfo } from "../../../src/proc/fdinfo.ts";
import { refusalOf } from "../../support/refusal.ts";

const nothing = { mode: 0n, rdev: 0n, ino: 0n, dev: 0n } as BigIntStats;

it("refuses what cannot be dumped by number and name, unless it need not be dumped", async () => {
	const open = ["pipe:[1]", "anon_inode:[io_uring]", "anon_inode:bpf-map"].map((link, number) => ({
		...{ number, link, stat: nothing, info: parseFdinfo("") },
	}));
	// none of them is a socket: nothing is asked
	const agent = { call: async () => 0n } as unknown as Agent;
	const { pid } = process;
	const required = (shown: typeof open, policy: MissingDescriptors, more: readonly OpenOf[] = []) =>
		requireDumpable(
			agent,
			[...more, { pid, open: shown }],
			policy,
			terminalTable(false, () => {}),
			[],
		);
	expect(await refusalOf(required(open, "error"))).toBe(
		"ERR_UNSUPPORTED descriptors 1, 2: 1 is a ring of io_uring, 2 is a BPF object, which this version cannot dump; let /dev/null take its place with --missing-fds null, or leave it out with --missing-fds skip",
	);
	expect(await refusalOf(required(open.slice(0, 2), "error"))).toMatch(
		/^ERR_UNSUPPORTED descriptor 1: is a ring of io_uring, which this version cannot dump; /,
	);
	const parent = { pid: process.ppid, open: open.slice(0, 1) };
	expect(await refusalOf(required(open.slice(0, 2), "error", [parent]))).toMatch(
		new RegExp(`^ERR_UNSUPPORTED descriptor 1 of process ${pid}: is a ring of io_uring, `),
	);
	for (const policy of ["null", "skip"] as const) await required(open, policy);
	await required(open.slice(0, 1), "error");
});

it("writes a device as /proc/PID/maps does", () => {
	expect(deviceText(0xfe00n)).toBe("fe:00");
	expect(deviceText(1n)).toBe("00:01");
	expect(deviceText(((0x12n << 12n) << 8n) | (0x103n << 8n) | 0x04n)).toBe("103:1204");
});

it("takes what is closed between being listed and being looked at for none", () => {
	// who lists his own descriptors lists the one by which he does, and it is closed afterwards
	expect(openDescriptors(process.pid).map(({ number }) => number)).toContain(2);
});
