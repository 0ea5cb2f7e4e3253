import { refuse } from "../../errors.ts";
import { xfeatComponent } from "./notes.ts";
import {
	APX,
	AVX,
	BNDCSR,
	BNDREGS,
	componentBit,
	componentsIn,
	HI16_ZMM,
	LAST_COMPONENT,
	OPMASK,
	PKRU,
	XTILECFG,
	XTILEDATA,
	xstateComponentName,
	xstateComponents,
	ZMM_HI256,
} from "./xstate-components.ts";

/** Where one component lies in an area, in bytes from its start. */
export interface XstateComponentPlace {
	readonly component: number;
	readonly offset: number;
	readonly size: number;
}

/** Where the components 2 and up of an XSAVE area lie. It depends on the processor and cannot be told from an area's bytes. */
export interface XstateLayout {
	/** Bytes of the whole area. */
	readonly size: number;
	/** By component, ascending. */
	readonly places: ReadonlyMap<number, XstateComponentPlace>;
	/**
	 * How it is known: from the core's own note, by its size as Intel's or AMD's layout or as that which gdb 13 makes up,
	 * `avx` when only AVX's place is certain, `legacy` without components.
	 */
	readonly origin: "note" | "intel" | "amd" | "gdb" | "avx" | "legacy";
}

/** The legacy area of 512 bytes and the header of 64: what every area starts with. */
const XSTATE_MIN_SIZE = 576;

/** No area is larger: with AMX tiles it is 11008 bytes. */
const XSTATE_MAX_SIZE = 65536;

/** x87 and SSE alone. */
export const legacyXstateLayout: XstateLayout = { size: XSTATE_MIN_SIZE, places: new Map(), origin: "legacy" };

/**
 * The layout as NT_X86_XSAVE_LAYOUT states it (kernels >= 6.12): rows of component, size, offset and flags, in any order.
 *
 * @throws NecromancerError ERR_NOTE_SIZE for a piece of a row, ERR_CORE_CORRUPT for components that are numbered, sized or placed
 *   as none can be, or that overlap.
 */
export function xstateLayoutFromNote(noteBytes: Uint8Array, subject: string): XstateLayout {
	if (noteBytes.length % xfeatComponent.size !== 0) {
		refuse("ERR_NOTE_SIZE", {
			subject,
			finding: `xsave layout is ${noteBytes.length} bytes`,
			expectation: `expected rows of ${xfeatComponent.size}`,
		});
	}
	const places = new Map<number, XstateComponentPlace>();
	for (let at = 0; at < noteBytes.length; at += xfeatComponent.size) {
		const { type, size, offset } = xfeatComponent.decode(noteBytes.subarray(at));
		const wrong = (finding: string, expectation: string): never =>
			refuse("ERR_CORE_CORRUPT", { subject, finding: `xsave layout ${finding}`, expectation });
		const name = xstateComponentName(type);
		if (type < AVX || type > LAST_COMPONENT) wrong(`names component ${type}`, `expected ${AVX} to ${LAST_COMPONENT}`);
		if (places.has(type)) wrong(`names ${name} twice`, "expected each component once");
		const due = xstateComponents.get(type)?.size ?? size;
		if (size !== due) wrong(`gives ${name} ${size} bytes`, `expected ${due}`);
		if (size === 0) wrong(`gives ${name} 0 bytes`, "expected some");
		if (offset < XSTATE_MIN_SIZE) wrong(`puts ${name} at byte ${offset}`, `expected ${XSTATE_MIN_SIZE} or above`);
		if (offset + size > XSTATE_MAX_SIZE) {
			wrong(`ends ${name} at byte ${offset + size}`, `expected ${XSTATE_MAX_SIZE} at most`);
		}
		places.set(type, { component: type, offset, size });
	}
	const byOffset = [...places.values()].sort((a, b) => a.offset - b.offset);
	for (const [i, place] of byOffset.entries()) {
		const before = byOffset[i - 1];
		if (before === undefined || before.offset + before.size <= place.offset) continue;
		refuse("ERR_CORE_CORRUPT", {
			subject,
			finding: `xsave layout puts ${xstateComponentName(place.component)} into ${xstateComponentName(before.component)}`,
			expectation: "expected distinct places",
		});
	}
	return layoutOf([...places.values()], "note");
}

/** The same as bytes. */
export const writeXstateLayout = ({ places }: XstateLayout): Uint8Array =>
	Buffer.concat(
		[...places.values()].map(({ component, size, offset }) =>
			xfeatComponent.encode({ type: component, size, offset, flags: 0 }),
		),
	);

/** Offsets of Intel processors. APX took over the bytes of MPX, which no processor has beside it. */
const intelOffsets: ReadonlyMap<number, number> = new Map([
	[AVX, 576],
	[BNDREGS, 960],
	[BNDCSR, 1024],
	[OPMASK, 1088],
	[ZMM_HI256, 1152],
	[HI16_ZMM, 1664],
	[PKRU, 2688],
	[XTILECFG, 2752],
	[XTILEDATA, 2816],
	[APX, 960],
]);

/** Offsets of AMD processors, which leave no room for MPX. They keep that for AVX-512 even where it is hidden from a guest. */
const amdOffsets: ReadonlyMap<number, number> = new Map([
	[AVX, 576],
	[OPMASK, 832],
	[ZMM_HI256, 896],
	[HI16_ZMM, 1408],
	[PKRU, 2432],
]);

/**
 * The layout of an area that comes without a note, from what is known of processors: that whose last component of `xcr0` ends
 * exactly where the area does. Where none does, only AVX has a certain place, byte 576; ask {@link unplacedComponents} for
 * what that leaves out. An `xcr0` of 0 says nothing, and is taken as AVX where the area has room for it.
 *
 * folklore: gdb 13 (`gcore`) writes 2696 bytes in Intel's layout on any processor. On AMD it reads the kernel's area, which has
 * PKRU at 2432, with its own offset 2688: the core then says PKRU is in use and 0. Later gdbs ask the processor.
 *
 * @param size Bytes of the area.
 * @param xcr0 The components it can hold: the word at byte 464.
 * @throws NecromancerError ERR_NOTE_SIZE when the area is too small for its header, or for AVX that it claims to hold.
 */
export function guessXstateLayout(size: number, xcr0: bigint, writer: "kernel" | "gdb", subject: string): XstateLayout {
	requireHeader(size, subject);
	const wanted = componentsIn(xcr0).filter((component) => component >= AVX);
	const intel = writer === "gdb" ? "gdb" : "intel";
	// The kernel's area may end before the tiles of AMX, whose room a process has to ask for (arch_prctl, ARCH_REQ_XCOMP_PERM).
	for (const components of [wanted, wanted.filter((component) => component !== XTILEDATA)]) {
		for (const [offsets, origin] of [[intelOffsets, intel] as const, [amdOffsets, "amd"] as const]) {
			const places = components.flatMap((component) => placeAt(component, offsets.get(component)));
			if (places.length < components.length) continue;
			const found = layoutOf(places, places.length === 0 ? "legacy" : origin);
			if (found.size === size) return found;
		}
	}
	const avx = placeAt(AVX, XSTATE_MIN_SIZE).filter(() => xcr0 === 0n || wanted.includes(AVX));
	const least = layoutOf(avx, avx.length === 0 ? "legacy" : "avx");
	if (least.size <= size) return { ...least, size };
	if (xcr0 === 0n) return { ...legacyXstateLayout, size };
	return refuse("ERR_NOTE_SIZE", {
		subject,
		finding: `xsave area is ${size} bytes`,
		expectation: `expected at least ${least.size} with AVX`,
	});
}

/**
 * The layout in which components of these sizes (2 and up) are written: Intel's places, which every gdb knows; behind them, in
 * steps of 64 bytes, whatever Intel has no place for or keeps for another.
 */
export function writtenXstateLayout(sizes: ReadonlyMap<number, number>): XstateLayout {
	const ascending = [...sizes].sort(([a], [b]) => a - b);
	const taken = new Set<number>();
	const places: XstateComponentPlace[] = [];
	for (const [component, size] of ascending) {
		const offset = intelOffsets.get(component);
		if (offset === undefined || taken.has(offset) || xstateComponents.get(component)?.size !== size) continue;
		taken.add(offset);
		places.push({ component, offset, size });
	}
	for (const [component, size] of ascending) {
		if (places.some((place) => place.component === component)) continue;
		places.push({ component, offset: Math.ceil(layoutOf(places, "note").size / 64) * 64, size });
	}
	return layoutOf(places, places.length === 0 ? "legacy" : "note");
}

/** The components 2 and up of a mask that a layout has no place for: what is lost when it is used. */
export const unplacedComponents = (mask: bigint, { places }: XstateLayout): number[] =>
	componentsIn(mask).filter((component) => component >= AVX && !places.has(component));

/** The mask of what a layout can hold, x87 and SSE included. */
export const layoutMask = ({ places }: XstateLayout): bigint =>
	[...places.keys()].reduce((mask, component) => mask | componentBit(component), 3n);

/** @throws NecromancerError ERR_NOTE_SIZE unless `size` bytes can hold an XSAVE area. */
export function requireHeader(size: number, subject: string): void {
	if (size >= XSTATE_MIN_SIZE) return;
	refuse("ERR_NOTE_SIZE", {
		subject,
		finding: `xsave area is ${size} bytes`,
		expectation: `expected at least ${XSTATE_MIN_SIZE}`,
	});
}

const placeAt = (component: number, offset: number | undefined): XstateComponentPlace[] => {
	const known = xstateComponents.get(component);
	return offset === undefined || known === undefined ? [] : [{ component, offset, size: known.size }];
};

const layoutOf = (places: readonly XstateComponentPlace[], origin: XstateLayout["origin"]): XstateLayout => ({
	size: places.reduce((end, { offset, size }) => Math.max(end, offset + size), XSTATE_MIN_SIZE),
	places: new Map(
		[...places].sort((a, b) => a.component - b.component).map((place) => [place.component, place] as const),
	),
	origin,
});
