import type { Agent } from "../agent/agent.ts";
import { xfeatComponent } from "../arch/x86-64/notes.ts";
import { type XstateLayout, xstateLayoutFromNote } from "../arch/x86-64/xstate.ts";
import { AVX, componentBit, componentsIn, XTILEDATA } from "../arch/x86-64/xstate-components.ts";
import { viewOf } from "../bytes/layout.ts";
import { refuse } from "../errors.ts";
import { ARCH } from "../linux/prctl.ts";

/** The floating-point state that a new process of this host has. */
export interface CpuState {
	readonly xcr0: bigint;
	readonly xstate: XstateLayout;
}

/** Leaf of cpuid that enumerates XSAVE (Intel SDM volume 1, 13.2): subleaf 0 is the whole, 2 and up are the components. */
const XSAVE_LEAF = 0xd;

/**
 * Asks processor and kernel by way of an agent.
 *
 * folklore: on CPUs with AMX (Sapphire Rapids), the kernel's XSAVE area excludes the 8 KiB of tiles until a process requests
 * them (Linux 5.16). From a signal frame with a longer area rt_sigreturn restores x87 and SSE only, without an error.
 *
 * @throws NecromancerError ERR_HOST on a processor without XSAVE: older than 2008.
 */
export async function measureCpu(agent: Agent): Promise<CpuState> {
	const mask = Buffer.alloc(8);
	const asked = await agent.call("arch_prctl", ARCH.GET_XCOMP_PERM, mask);
	const [features, whole] = await cpuid(agent, [
		[1, 0],
		[XSAVE_LEAF, 0],
	]);
	if (features === undefined || whole === undefined || (features.ecx & OSXSAVE) === 0) {
		return refuse("ERR_HOST", {
			subject: "processor",
			finding: "has no XSAVE, or the kernel does not use it",
			expectation: "expected one made after 2008",
		});
	}
	const supported = BigInt(whole.eax) | (BigInt(whole.edx) << 32n);
	// Before Linux 5.16 there is no ARCH_GET_XCOMP_PERM, and no component that needs permission.
	const xcr0 = asked === 0n ? mask.readBigUInt64LE() : supported & ~componentBit(XTILEDATA);
	const components = componentsIn(xcr0).filter((component) => component >= AVX);
	const leaves = await cpuid(
		agent,
		components.map((component) => [XSAVE_LEAF, component]),
	);
	const rows = leaves.map(({ eax, ebx }, i) =>
		xfeatComponent.encode({ type: components[i] ?? 0, size: eax, offset: ebx, flags: 0 }),
	);
	const xstate = xstateLayoutFromNote(Buffer.concat(rows), "processor");
	return { xcr0, xstate: xcr0 === supported ? { ...xstate, size: Math.max(xstate.size, whole.ebx) } : xstate };
}

/** Of ecx of leaf 1: XGETBV and XSAVE may be used by programs. */
const OSXSAVE = 1 << 27;

interface CpuidWords {
	readonly eax: number;
	readonly ebx: number;
	readonly ecx: number;
	readonly edx: number;
}

/** What the processor says to leaves and subleaves. */
async function cpuid(
	agent: Agent,
	asked: readonly (readonly [leaf: number, subleaf: number])[],
): Promise<CpuidWords[]> {
	const batch = agent.batch();
	const slots = asked.map(([leaf, subleaf]) => {
		const into = batch.space(16);
		batch.call("cpuid", leaf, subleaf, into);
		return into;
	});
	const done = await agent.perform(batch, { patience: 20_000, doing: "asking the processor" });
	return slots.map((slot) => {
		const view = viewOf(done.bytes(slot));
		const word = (at: number): number => view.getUint32(at, true);
		return { eax: word(0), ebx: word(4), ecx: word(8), edx: word(12) };
	});
}
