import type { Fxregs } from "../arch/x86-64/notes.ts";
import type { Xstate } from "../arch/x86-64/xstate.ts";
import type { UserX86FpregsEntry, UserX86XsaveEntry } from "./wire/generated/schema.ts";

/**
 * XSAVE components as CRIU stores them: one list of words each, so an image knows no layout. CRIU writes a list if and
 * only if the dumping CPU has the component, whether or not it is in use (criu/arch/x86/crtools.c, 4.2).
 */
const lists = [
	{ component: 2, field: "ymmh_space", word: 4, count: 64 },
	{ component: 3, field: "bndreg_state", word: 8, count: 8 },
	{ component: 4, field: "bndcsr_state", word: 8, count: 8 },
	{ component: 5, field: "opmask_reg", word: 8, count: 8 },
	{ component: 6, field: "zmm_upper", word: 8, count: 64 },
	{ component: 7, field: "hi16_zmm", word: 8, count: 128 },
	{ component: 9, field: "pkru", word: 4, count: 2 },
] as const;

/** The components that images can hold: x87, SSE and those of the lists. AMX tiles and later ones have no field. */
export const REPRESENTABLE = lists.reduce((mask, { component }) => mask | (1n << BigInt(component)), 0b11n);

/** The FPU state of a thread, from its image. A component in use whose list is absent reads as zeros, as CRIU restores it. */
export function xstateFromEntry(entry: UserX86FpregsEntry): Xstate {
	const { xsave } = entry;
	const components = new Map<number, Uint8Array>();
	let xcr0 = 0b11n;
	for (const { component, field, word, count } of lists) {
		const words: readonly (number | bigint)[] = xsave?.[field] ?? [];
		if (words.length === 0) continue;
		xcr0 |= 1n << BigInt(component);
		components.set(component, toBytes(words, word, count));
	}
	const fx: Fxregs = {
		cwd: entry.cwd,
		swd: entry.swd,
		twd: entry.twd,
		fop: entry.fop,
		rip: entry.rip,
		rdp: entry.rdp,
		mxcsr: entry.mxcsr,
		mxcsr_mask: entry.mxcsr_mask,
		st_space: padded(entry.st_space, 32),
		xmm_space: padded(entry.xmm_space, 64),
		padding: padded(entry.padding, 24),
	};
	return { fx, xcr0, xstateBv: xsave?.xstate_bv ?? 0b11n, components };
}

/**
 * The image of an FPU state. `base` is the record it replaces, if any: unknown fields stay. Lists are written for every
 * component the state has or the base had, so that the set of lists still describes a CPU.
 */
export function entryFromXstate(xstate: Xstate, base?: UserX86FpregsEntry): UserX86FpregsEntry {
	const { fx } = xstate;
	const words: Partial<Record<(typeof lists)[number]["field"], readonly (number | bigint)[]>> = {};
	for (const { component, field, word, count } of lists) {
		const bytes = xstate.components.get(component);
		if (bytes !== undefined) words[field] = fromBytes(bytes, word, count);
		else if ((base?.xsave?.[field].length ?? 0) > 0) words[field] = fromBytes(new Uint8Array(), word, count);
	}
	const xsave = {
		...base?.xsave,
		...emptyLists(base?.xsave),
		...words,
		xstate_bv: xstate.xstateBv & REPRESENTABLE,
	} as UserX86XsaveEntry;
	return {
		...(base ?? { padding: [] }),
		cwd: fx.cwd,
		swd: fx.swd,
		// the one-bit-per-register tag of FXSAVE, as the core has it
		twd: fx.twd,
		fop: fx.fop,
		rip: fx.rip,
		rdp: fx.rdp,
		mxcsr: fx.mxcsr,
		mxcsr_mask: fx.mxcsr_mask,
		st_space: fx.st_space,
		xmm_space: fx.xmm_space,
		xsave,
	};
}

const emptyLists = (base: UserX86XsaveEntry | undefined): Partial<UserX86XsaveEntry> =>
	base === undefined ? Object.fromEntries(lists.map(({ field }) => [field, []])) : {};

const padded = (words: readonly number[], count: number): readonly number[] =>
	Array.from({ length: count }, (_, i) => words[i] ?? 0);

function toBytes(words: readonly (number | bigint)[], size: 4 | 8, count: number): Uint8Array {
	const bytes = Buffer.alloc(size * count);
	for (const [i, word] of words.slice(0, count).entries())
		if (size === 4) bytes.writeUInt32LE(Number(word), i * size);
		else bytes.writeBigUInt64LE(BigInt(word), i * size);
	return bytes;
}

function fromBytes(bytes: Uint8Array, size: 4 | 8, count: number): (number | bigint)[] {
	const whole = Buffer.alloc(size * count);
	whole.set(bytes.subarray(0, whole.length));
	return Array.from({ length: count }, (_, i) =>
		size === 4 ? whole.readUInt32LE(i * size) : whole.readBigUInt64LE(i * size),
	);
}
