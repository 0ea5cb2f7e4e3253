import { type UserRegs, userRegs } from "../arch/x86-64/registers.ts";
import { legalMxcsr, normaliseXstate, readXstate, type XstateLayout } from "../arch/x86-64/xstate.ts";
import { componentBit, xstateComponentName } from "../arch/x86-64/xstate-components.ts";
import { hex } from "../bytes/address.ts";
import type { Thread } from "../forest/task.ts";

/** Flags that a program can set for itself; the kernel forces the others (arch/x86/include/asm/sighandling.h, FIX_EFLAGS). */
const USER_FLAGS = 0x40cd5n;

/** Not compared: orig_ax is that of rt_sigreturn, and the kernel sets segment selectors itself. */
const NOT_RESTORED: readonly string[] = ["orig_ax", "cs", "ss", "ds", "es", "fs", "gs", "flags"];

/**
 * How a thread's register set differs from the task's, at the exit from rt_sigreturn: given an XSAVE area that does not fit the
 * CPU, the kernel resets registers without an error.
 */
export function registerDifferences(
	thread: Thread,
	found: { readonly regs: UserRegs; readonly xstate: Uint8Array; readonly blocked: bigint },
	host: { readonly xstate: XstateLayout; readonly xcr0: bigint },
): string[] {
	const differences: string[] = [];
	const differ = (what: string, is: bigint | number, planned: bigint | number): void =>
		void differences.push(`thread ${thread.tid}: ${what} is ${hex(is)}, expected ${hex(planned)}`);
	for (const name of Object.keys(userRegs.fields) as (keyof UserRegs)[]) {
		if (NOT_RESTORED.includes(name)) continue;
		if (found.regs[name] !== thread.registers[name]) differ(name, found.regs[name], thread.registers[name]);
	}
	const flags = found.regs.flags & USER_FLAGS;
	if (flags !== (thread.registers.flags & USER_FLAGS)) differ("flags", flags, thread.registers.flags & USER_FLAGS);
	// the kernel never blocks SIGKILL and SIGSTOP
	const blockable = ~((1n << 8n) | (1n << 18n));
	if (found.blocked !== (thread.blocked & blockable))
		differ("the signal mask", found.blocked, thread.blocked & blockable);

	const actual = normaliseXstate(readXstate(found.xstate, host.xstate, `thread ${thread.tid}`));
	const planned = normaliseXstate(thread.xstate);
	if (actual.fx.mxcsr !== legalMxcsr(planned.fx)) differ("mxcsr", actual.fx.mxcsr, legalMxcsr(planned.fx));
	if (actual.fx.cwd !== planned.fx.cwd) differ("the x87 control word", actual.fx.cwd, planned.fx.cwd);
	for (const [i, word] of planned.fx.xmm_space.entries()) {
		const is = actual.fx.xmm_space[i] ?? 0;
		if (is !== word) differ(`xmm${i >> 2}, word ${i & 3}`, is, word);
	}
	for (const [component, bytes] of planned.components) {
		const bit = componentBit(component);
		if ((planned.xstateBv & bit & host.xcr0) === 0n) continue;
		const is = actual.components.get(component);
		if (is === undefined || Buffer.compare(is, bytes) !== 0)
			differences.push(`thread ${thread.tid}: ${xstateComponentName(component)} registers are not as planned`);
	}
	return differences;
}
