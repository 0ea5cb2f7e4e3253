import { initialFx, legalMxcsr, PKRU, type Xstate } from "../arch/x86-64/xstate.ts";
import { componentBit, HI16_ZMM, OPMASK, ZMM_HI256 } from "../arch/x86-64/xstate-components.ts";
import { caution, type Finding, loss } from "../finding.ts";
import type { PartialTask, PartialThread } from "../forest/partial-task.ts";
import { believed } from "./witnesses.ts";

const AVX512 = componentBit(OPMASK) | componentBit(ZMM_HI256) | componentBit(HI16_ZMM);

const INITIAL: Xstate = { fx: initialFx, xcr0: 0n, xstateBv: 0n, components: new Map() };

/** FPU and vector registers: the core's, as far as its writer got them right. */
export function understandXstate(
	{ writer }: PartialTask,
	{ tid, xstate }: PartialThread,
	lent: Xstate | undefined,
	report: (finding: Finding) => void,
): Xstate {
	const subject = `thread ${tid}`;
	const { value: own, by } = believed({
		core: () => (xstate === undefined ? undefined : legal(xstate)),
		donor: () => lent,
		default: () => INITIAL,
	});
	if (by === "donor") report(loss("xstate", subject, "the core has no FPU state; it starts with the donor's"));
	if (by === "default")
		report(loss("xstate", subject, "the core has no FPU state; it starts with that of a new process"));
	if (by !== "core" || writer !== "gdb") return own;
	if ((own.xstateBv & AVX512) !== 0n)
		report(
			caution("xstate", subject, "gdb's cores misplace AVX-512 registers on CPUs that lay them out unlike Intel's"),
		);
	return withoutFalseKeys(own, lent);
}

/** A reserved bit, from a damaged core or a processor with more of them, would kill the thread as it resumes. */
const legal = (xstate: Xstate): Xstate => ({ ...xstate, fx: { ...xstate.fx, mxcsr: legalMxcsr(xstate.fx) } });

/**
 * folklore: gdb 13.1 reads the kernel's area with Intel's offsets; on a CPU that packs components tighter (AMD) it finds zeros for
 * PKRU and marks it in use, which would unlock every protection key. The donor's is meant, or else Linux's own.
 */
function withoutFalseKeys(own: Xstate, lent: Xstate | undefined): Xstate {
	const pkru = own.components.get(PKRU);
	if (pkru?.some((byte) => byte !== 0) === true) return own;
	const donors = lent?.components.get(PKRU);
	const inUse = 1n << BigInt(PKRU);
	if (donors !== undefined)
		return {
			...own,
			xstateBv: own.xstateBv | (inUse & (lent?.xstateBv ?? 0n)),
			components: new Map([...own.components, [PKRU, donors]]),
		};
	if (pkru === undefined) return own;
	return {
		...own,
		xstateBv: own.xstateBv & ~inUse,
		components: new Map([...own.components].filter(([component]) => component !== PKRU)),
	};
}
