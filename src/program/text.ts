import { hex } from "../bytes/address.ts";
import { errnoName, isErrorResult } from "../linux/errno.ts";
import { type CallName, callRow } from "./calls.ts";
import { hexadecimal, nameOf } from "./kinds.ts";
import type { Expect, Step } from "./program.ts";

/**
 * A step as strace(1) would print it: `openat(AT_FDCWD, "/var/log/x", O_RDWR) = 3`. Memory of the plan is `&[its name]`,
 * what a step saved there `[its name]`. Text of the dead process is as it was: escape it before it is printed.
 */
export const stepText = ({ call, args, expect, save }: Step): string =>
	`${callText({ call, args })} ${expectText(call, expect)}${save === undefined ? "" : ` -> ${nameOf(save)}`}`;

/** The call alone. */
export function callText({ call, args }: Pick<Step, "call" | "args">): string {
	const { args: kinds } = callRow(call);
	return `${call}(${args.map((arg, i) => (kinds[i] ?? hexadecimal)(arg, args)).join(", ")})`;
}

/** The call without its longer part: `prctl(PR_SET_MM, PR_SET_MM_MAP, …)`. */
export function shortCallText({ call, args }: Pick<Step, "call" | "args">): string {
	const { args: kinds } = callRow(call);
	const words = args.slice(0, 2).map((arg, i) => (kinds[i] ?? hexadecimal)(arg, args));
	return `${call}(${[...words, ...(args.length > 2 ? ["…"] : [])].join(", ")})`;
}

function expectText(call: CallName, expect: Expect): string {
	if (expect === "anything") return "= anything";
	if (expect === "success") return "= success";
	if (expect === "until-error") return "until it fails";
	if ("successOr" in expect) return `= success or ${errnoName(expect.successOr)}`;
	return `= ${resultText(call, expect.exactly)}`;
}

/** What a call returns: the name of an error, an address, or a number. */
export function resultText(call: CallName, result: bigint): string {
	const value = BigInt.asIntN(64, result);
	if (isErrorResult(value)) return errnoName(Number(value));
	return callRow(call).returns === "address" ? hex(BigInt.asUintN(64, value)) : value.toString();
}
