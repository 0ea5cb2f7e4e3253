import { hex } from "../../bytes/address.ts";
import { array, layout, u64 } from "../../bytes/layout.ts";
import { refuse } from "../../errors.ts";
import { type Fxregs, fxregs } from "./notes.ts";
import { AVX, componentBit, SSE, X87, xstateComponentName } from "./xstate-components.ts";
import { requireHeader, unplacedComponents, type XstateLayout } from "./xstate-layout.ts";

export { PKRU } from "./xstate-components.ts";
export {
	guessXstateLayout,
	unplacedComponents,
	type XstateComponentPlace,
	type XstateLayout,
	xstateLayoutFromNote,
} from "./xstate-layout.ts";

/** The floating-point and vector registers of one thread, independent of any processor's layout. */
export interface Xstate {
	readonly fx: Fxregs;
	/** The components that the area can hold, as its byte 464 says; 0 where the writer left it out. */
	readonly xcr0: bigint;
	/** The components in use. All others are in their initial state, whatever their bytes say. */
	readonly xstateBv: bigint;
	/** The bytes of each component 2 and up that the area's layout places, in use or not. */
	readonly components: ReadonlyMap<number, Uint8Array>;
}

/** `struct xstate_header`, at byte 512. `reserved` must be zero, and `xcomp_bv` is unless the area is compacted. */
const xstateHeader = layout("xstate_header", { xstate_bv: u64, xcomp_bv: u64, reserved: array(u64, 6) });

/** Of the header, in bytes: the legacy area is before it. */
const XSTATE_HEADER = 512;

/** Words of {@link Fxregs.padding} in which the kernel keeps XCR0: byte 464 of the area. */
const XCR0_LOW = 12;
const XCR0_HIGH = 13;

/**
 * Reads the area of NT_X86_XSTATE, in the standard format that ptrace and cores use. Bytes beyond the layout are not looked at.
 *
 * @throws NecromancerError ERR_NOTE_SIZE when it is shorter than its header; ERR_CORE_CORRUPT when it is compacted, when reserved
 *   bytes are set, when a component is in use that XCR0 does not have, or when one of the layout ends beyond the area.
 */
export function readXstate(bytes: Uint8Array, { places }: XstateLayout, subject: string): Xstate {
	requireHeader(bytes.length, subject);
	const fx = fxregs.decode(bytes);
	const xcr0 = xcr0Of(fx);
	const { xstate_bv, xcomp_bv, reserved } = xstateHeader.decode(bytes.subarray(XSTATE_HEADER));
	const wrong = (finding: string, expectation: string): never =>
		refuse("ERR_CORE_CORRUPT", { subject, finding: `xsave area ${finding}`, expectation });
	if (xcomp_bv !== 0n) wrong(`is compacted (xcomp_bv ${hex(xcomp_bv)})`, "expected the standard format");
	const soiled = reserved.findIndex((word) => word !== 0n);
	if (soiled >= 0) wrong(`has reserved byte ${XSTATE_HEADER + 16 + soiled * 8} set`, "expected zeros to byte 576");
	if (xcr0 !== 0n && (xstate_bv & ~xcr0) !== 0n) {
		wrong(`uses components ${hex(xstate_bv)}`, `expected some of xcr0 ${hex(xcr0)}`);
	}
	const components = new Map<number, Uint8Array>();
	for (const { component, offset, size } of places.values()) {
		if (offset + size > bytes.length) {
			wrong(`of ${bytes.length} bytes ends before ${xstateComponentName(component)}`, `expected ${offset + size}`);
		}
		components.set(component, new Uint8Array(bytes.subarray(offset, offset + size)));
	}
	return { fx, xcr0, xstateBv: xstate_bv, components };
}

/**
 * An area in the standard format, `layout.size` bytes: XCR0 at byte 464, no magic words, `xcomp_bv` 0. Components that it has
 * no place for are left out if they are in their initial state.
 *
 * @throws RangeError when such a component is in use ({@link unplacedComponents} tells before), or one has another size than its place.
 */
export function writeXstate(xstate: Xstate, layout: XstateLayout): Uint8Array {
	const [homeless] = unplacedComponents(xstate.xstateBv, layout);
	if (homeless !== undefined) throw new RangeError(`no place for ${xstateComponentName(homeless)}, which is in use`);
	const area = new Uint8Array(layout.size);
	area.set(fxregs.encode(withXcr0(xstate.fx, xstate.xcr0)));
	area.set(xstateHeader.encode({ xstate_bv: xstate.xstateBv, xcomp_bv: 0n, reserved: [] }), XSTATE_HEADER);
	for (const { component, offset, size } of layout.places.values()) {
		const bytes = xstate.components.get(component);
		if (bytes === undefined) continue;
		if (bytes.length !== size) {
			throw new RangeError(`${xstateComponentName(component)} is ${bytes.length} bytes, its place ${size}`);
		}
		area.set(bytes, offset);
	}
	return area;
}

/** Only x87 and SSE, both in use: what a core without NT_X86_XSTATE holds in NT_FPREGSET. */
export function xstateFromFxregs(bytes512: Uint8Array, subject = "fpregset"): Xstate {
	if (bytes512.length !== fxregs.size) {
		refuse("ERR_NOTE_SIZE", {
			subject,
			finding: `floating-point registers are ${bytes512.length} bytes`,
			expectation: `expected ${fxregs.size}`,
		});
	}
	const legacy = componentBit(X87) | componentBit(SSE);
	return { fx: fxregs.decode(bytes512), xcr0: legacy, xstateBv: legacy, components: new Map() };
}

const xcr0Of = ({ padding }: Fxregs): bigint =>
	BigInt(padding[XCR0_LOW] ?? 0) | (BigInt(padding[XCR0_HIGH] ?? 0) << 32n);

const withXcr0 = (fx: Fxregs, xcr0: bigint): Fxregs => {
	const padding = Array.from({ length: 24 }, (_, i) => fx.padding[i] ?? 0);
	padding[XCR0_LOW] = Number(BigInt.asUintN(32, xcr0));
	padding[XCR0_HIGH] = Number(BigInt.asUintN(32, xcr0 >> 32n));
	return { ...fx, padding };
};

/** MXCSR as a process starts with it: every exception masked, round to nearest. */
const INITIAL_MXCSR = 0x1f80;

/** PKRU as Linux gives it to every process (arch/x86/mm/pkeys.c): key 0 open, all others without access. */
export const INITIAL_PKRU = 0x5555_5554;

/**
 * The MXCSR bits that every x86-64 processor has. folklore: gdb's cores say a mask of 0, which by Intel's SDM (volume 1, 11.6.6)
 * means no denormals-are-zeros; but processors without that were 32-bit ones, and programs built with -ffast-math have it set.
 */
const COMMON_MXCSR_MASK = 0xffff;

/** The legacy area in its initial state: FNINIT's control word, empty stack, zero XMM registers. The MXCSR mask is the processor's. */
export const initialFx: Fxregs = {
	cwd: 0x37f,
	swd: 0,
	twd: 0,
	fop: 0,
	rip: 0n,
	rdp: 0n,
	mxcsr: INITIAL_MXCSR,
	mxcsr_mask: 0,
	st_space: new Array<number>(32).fill(0),
	xmm_space: new Array<number>(64).fill(0),
	padding: new Array<number>(24).fill(0),
};

/**
 * The same state with initial values in every component that is not in use. XSAVEOPT and XSAVES leave the bytes of such a
 * component as they happen to be, so writers that copy an area raw hand on stale registers; the kernel's cores and ptrace
 * fill them in (arch/x86/kernel/fpu/xstate.c, copy_xstate_to_uabi_buf). MXCSR belongs to both SSE and AVX.
 */
export function normaliseXstate(xstate: Xstate): Xstate {
	const used = (component: number): boolean => (xstate.xstateBv & componentBit(component)) !== 0n;
	const { cwd, swd, twd, fop, rip, rdp, st_space } = used(X87) ? xstate.fx : initialFx;
	const { xmm_space } = used(SSE) ? xstate.fx : initialFx;
	const { mxcsr } = used(SSE) || used(AVX) ? xstate.fx : initialFx;
	return {
		...xstate,
		fx: { ...xstate.fx, cwd, swd, twd, fop, rip, rdp, st_space, mxcsr, xmm_space },
		components: new Map(
			[...xstate.components].map(([component, bytes]) => [
				component,
				used(component) ? bytes : new Uint8Array(bytes.length),
			]),
		),
	};
}

/** MXCSR without bits that the processor reserves: with one set, loading the state kills the process. */
export const legalMxcsr = ({ mxcsr, mxcsr_mask }: Pick<Fxregs, "mxcsr" | "mxcsr_mask">): number =>
	(mxcsr & (mxcsr_mask === 0 ? COMMON_MXCSR_MASK : mxcsr_mask)) >>> 0;
