import { TRAP_FLAG } from "../../arch/x86-64/registers.ts";
import { FPSTATE_ALIGN, lostComponents, sigframe, USER_CS, USER_SS } from "../../arch/x86-64/sigframe.ts";
import { XTILEDATA, xstateComponentName } from "../../arch/x86-64/xstate-components.ts";
import { hex, TASK_SIZE } from "../../bytes/address.ts";
import { refuse } from "../../errors.ts";
import { caution, loss } from "../../finding.ts";
import type { Thread } from "../../forest/task.ts";
import { SMALLEST_ALTERNATE_STACK } from "../../linux/signal.ts";
import type { Place } from "../../program/args.ts";
import { bytesDatum } from "../../program/data.ts";
import type { Context } from "../context.ts";

const USER32_CS = 0x23n;

/**
 * Refuses what would not run: segments that no 64-bit program has, bases that the kernel does not take. A stack or an instruction
 * pointer that leads nowhere is none of that: rt_sigreturn(2) takes any, and it faults only on its way back to the program.
 *
 * @throws NecromancerError ERR_UNSUPPORTED for seccomp and for 32-bit code, ERR_TASK_UNRUNNABLE for impossible registers.
 */
export function requireRunnable({ tid, seccomp, registers: { cs, fs_base, gs_base } }: Thread): void {
	const subject = `thread ${tid}`;
	if (seccomp !== "none")
		refuse("ERR_UNSUPPORTED", {
			subject,
			finding: seccomp === "strict" ? "runs in seccomp's strict mode" : "runs under seccomp filters",
			expectation: "expected neither: they cannot be restored yet",
			remedy: "make the donor without them",
		});
	if (cs === USER32_CS)
		refuse("ERR_UNSUPPORTED", {
			subject,
			finding: "runs 32-bit code (cs 0x23)",
			expectation: `expected 64-bit code, ${hex(USER_CS)}`,
		});
	const corrupt = (finding: string, expectation: string): never =>
		refuse("ERR_TASK_UNRUNNABLE", { subject, finding, expectation });
	if (cs !== USER_CS) corrupt(`cs is ${hex(cs)}`, `expected ${hex(USER_CS)}`);
	for (const [name, base] of Object.entries({ fs_base, gs_base }))
		if (base >= TASK_SIZE) corrupt(`${name} is ${hex(base)}`, `expected less than ${hex(TASK_SIZE)}`);
}

/** Where a thread leaves from: the `struct ucontext` of a frame for this CPU. */
export function frameOf(thread: Thread, { draft, facts }: Context): Place {
	const { tid, registers, alternateStack, xstate } = thread;
	const subject = `thread ${tid}`;
	const lost = lostComponents(xstate, facts);
	if (lost.length > 0) {
		const which = lost.includes(XTILEDATA) ? "a process here has not, unless it asks" : "this processor has not";
		const names = lost.map(xstateComponentName).join(", ");
		draft.report(loss("xstate", subject, `used ${names}, which ${which}; those registers are reset`));
	}
	const { flags, ss, ds, es, fs, gs } = registers;
	if ((flags & TRAP_FLAG) !== 0n)
		draft.report(caution("registers", subject, "was being single-stepped; it resumes without the trap flag"));
	if (ss !== USER_SS && ss !== 0n)
		draft.report(caution("registers", subject, `ss was ${hex(ss)}; it is ${hex(USER_SS)} now`));
	const segments = Object.entries({ ds, es, fs, gs }).filter(([, selector]) => selector !== 0n);
	if (segments.length > 0)
		draft.report(
			caution(
				"registers",
				subject,
				`${segments.map(([name, selector]) => `${name} was ${hex(selector)}`).join(", ")}; selectors are 0 now`,
			),
		);
	if (alternateStack !== undefined && alternateStack.size < SMALLEST_ALTERNATE_STACK)
		draft.report(
			loss(
				"alternate-stack",
				subject,
				`its alternate signal stack of ${alternateStack.size} bytes is too small for the kernel; it has none now`,
			),
		);
	const frame = sigframe({ ...thread, registers: { ...registers, flags: flags & ~TRAP_FLAG } }, facts);
	const fpstate = bytesDatum(`XSAVE area of thread ${tid}`, frame.fpstate, { align: FPSTATE_ALIGN });
	return bytesDatum(`frame of thread ${tid}`, frame.ucontext, {
		align: 16,
		pointers: [{ at: frame.fpstateAt, to: fpstate }],
	});
}
