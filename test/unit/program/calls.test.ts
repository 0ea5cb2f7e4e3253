import { expect, test } from "vitest";
import { remedyFor } from "../../../src/program/calls.ts";
import type { Step } from "../../../src/program/program.ts";

const step = (stage: string, call: string): Step => ({ stage, call, args: [0x80n] }) as unknown as Step;

test.each([
	["unshare", "EPERM", "needs CAP_SYS_ADMIN for a time namespace: restore with --clock host"],
	["setns", "EPERM", "needs CAP_SYS_ADMIN for a time namespace: restore with --clock host"],
	["unshare", "EINVAL", "this kernel has no time namespaces (CONFIG_TIME_NS): restore with --clock host"],
	["unshare", "ENOSPC", "raise user.max_time_namespaces, or restore with --clock host"],
	["setns", "EUSERS", "only who has one thread can move: this is a bug"],
])("what helps when the %s for its clocks ends with %s", (call, errno, text) => {
	expect(remedyFor(step("clocks", call), errno)).toBe(text);
	expect(remedyFor(step("files", call), errno)).not.toBe(text);
});
