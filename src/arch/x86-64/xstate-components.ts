/**
 * State components of the XSAVE feature set (Intel SDM volume 1, chapter 13; arch/x86/include/asm/fpu/types.h). A component's
 * number is its bit in XCR0, XSTATE_BV and everywhere else.
 */
export interface XstateComponent {
	readonly number: number;
	readonly name: string;
	/** Bytes it occupies in an area, as the processor enumerates them. */
	readonly size: number;
}

export const X87 = 0;
export const SSE = 1;
export const AVX = 2;
export const BNDREGS = 3;
export const BNDCSR = 4;
export const OPMASK = 5;
export const ZMM_HI256 = 6;
export const HI16_ZMM = 7;
export const PKRU = 9;
export const XTILECFG = 17;
export const XTILEDATA = 18;
export const APX = 19;

/** The highest number a component can have: bit 63 of XSTATE_BV and XCR0 means something else. */
export const LAST_COMPONENT = 62;

/**
 * By number, ascending. x87 and SSE share the legacy area. PT, PASID, CET, HDC, UINTR, LBR and HWP are supervisor state, which
 * the kernel never shows in a user's area.
 */
export const xstateComponents: ReadonlyMap<number, XstateComponent> = new Map(
	(
		[
			[X87, "x87", 160],
			[SSE, "SSE", 256],
			[AVX, "AVX", 256],
			[BNDREGS, "BNDREGS", 64],
			[BNDCSR, "BNDCSR", 64],
			[OPMASK, "opmask", 64],
			[ZMM_HI256, "ZMM_Hi256", 512],
			[HI16_ZMM, "Hi16_ZMM", 1024],
			[8, "PT", 128],
			[PKRU, "PKRU", 8],
			[10, "PASID", 8],
			[11, "CET_U", 16],
			[12, "CET_S", 24],
			[13, "HDC", 8],
			[14, "UINTR", 48],
			[15, "LBR", 808],
			[16, "HWP", 8],
			[XTILECFG, "XTILECFG", 64],
			[XTILEDATA, "XTILEDATA", 8192],
			[APX, "APX", 128],
		] satisfies readonly (readonly [number, string, number])[]
	).map(([number, name, size]): [number, XstateComponent] => [number, { number, name, size }]),
);

/** `AVX`, or `component 40` for one this table does not know. */
export const xstateComponentName = (number: number): string =>
	xstateComponents.get(number)?.name ?? `component ${number}`;

/** The bit of one component. */
export const componentBit = (number: number): bigint => 1n << BigInt(number);

/** The numbers of the bits that are set, 0 to 62, ascending. */
export const componentsIn = (mask: bigint): number[] =>
	Array.from({ length: LAST_COMPONENT + 1 }, (_, i) => i).filter((number) => (mask & componentBit(number)) !== 0n);
