import type { Xstate } from "../../arch/x86-64/xstate.ts";
import { componentsIn, xstateComponentName } from "../../arch/x86-64/xstate-components.ts";
import { hex } from "../../bytes/address.ts";
import { defined } from "../../bytes/defined.ts";
import { type AuxvPair, auxvName } from "../../linux/auxv.ts";
import { protText } from "../../linux/mman.ts";
import { signalName, signalsIn } from "../../linux/signal.ts";
import { type NamedPlace, placeOf } from "./places.ts";
import { type FileView, type MappingView, type ThreadView, totalsOf } from "./view.ts";

/*
 * The JSON of `show`, schema 1. Keys are always there: what is not known is null. Addresses, offsets, register words and
 * masks are hexadecimal strings with 0x, bytes are hexadecimal strings without. Sizes and other counts are numbers; beyond
 * 2^53 - 1 they are strings of decimal digits. File modes are octal strings. Signals are names, sets of signals lists of
 * names. Names and paths that are no UTF-8 hold a lone surrogate U+DC00 + byte for each such byte.
 */

/** A size or count. */
export const countJson = (value: bigint): number | string =>
	value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : value.toString();

export const hexOrNull = (value: bigint | undefined): string | null => (value === undefined ? null : hex(value));

export const signalsJson = (mask: bigint): string[] => signalsIn(mask).map(signalName);

export const mappingJson = ({
	start,
	end,
	prot,
	shared,
	kind,
	path,
	offset,
	deleted,
	label,
	remarks,
	held,
	rest,
}: MappingView) => ({
	start: hex(start),
	end: hex(end),
	size: countJson(end - start),
	prot: prot === undefined ? null : protText(prot),
	shared: shared ?? null,
	kind,
	label: path === undefined ? label : null,
	path: path ?? null,
	offset: hexOrNull(offset),
	deleted: deleted ?? null,
	remarks,
	held: countJson(held),
	rest,
});

export const totalsJson = (mappings: readonly MappingView[]) => {
	const { mapped, held, file, kernel, nowhere } = totalsOf(mappings);
	return {
		mapped: countJson(mapped),
		held: countJson(held),
		file: countJson(file),
		kernel: countJson(kernel),
		nowhere: countJson(nowhere),
	};
};

export const fileJson = ({ path, deleted, buildId, mappings, executable, size, mode }: FileView) => ({
	path,
	executable,
	deleted,
	buildId: buildId ?? null,
	size: size === undefined ? null : countJson(size),
	mode: mode === undefined ? null : octal(mode),
	mappings,
});

/** As chmod(1) takes it. */
export const octal = (mode: number): string => mode.toString(8).padStart(4, "0");

export const auxvJson = ({ type, value }: AuxvPair) => ({ type, name: auxvName(type), value: hex(value) });

export function threadJson(thread: ThreadView, places: readonly NamedPlace[]) {
	const { tid, name, leader, died, ip, call, xstate, blocked, pending, shadowStack, processor } = thread;
	return {
		tid,
		name: name ?? null,
		leader,
		tookSignal: died,
		at: placeOf(ip, places),
		systemCall:
			call === undefined || call === "none"
				? null
				: { number: countJson(call.number), name: call.name, arguments: call.args.map((word) => hex(word)) },
		registers: Object.fromEntries(Object.entries(thread.registers()).map(([name, value]) => [name, hex(value)])),
		blocked: blocked === undefined ? null : signalsJson(blocked),
		pending: pending.map(signalName),
		shadowStack: hexOrNull(shadowStack),
		fpu: xstate === undefined ? null : fpuJson(xstate),
		...defined({ processor }),
	};
}

/** `st` and `xmm` as numbers of 80 and 128 bits; `components` as the bytes of those in use. */
const fpuJson = ({ fx, xcr0, xstateBv, components }: Xstate) => ({
	controlWord: hex(fx.cwd),
	statusWord: hex(fx.swd),
	tags: hex(fx.twd),
	lastOpcode: hex(fx.fop),
	lastInstruction: hex(fx.rip),
	lastData: hex(fx.rdp),
	mxcsr: hex(fx.mxcsr),
	mxcsrMask: hex(fx.mxcsr_mask),
	st: vectors(fx.st_space).map((value) => hex(BigInt.asUintN(80, value))),
	xmm: vectors(fx.xmm_space).map((value) => hex(value)),
	xcr0: hex(xcr0),
	inUse: componentsIn(xstateBv).map(xstateComponentName),
	components: Object.fromEntries(
		[...components]
			.filter(([number]) => ((xstateBv >> BigInt(number)) & 1n) === 1n)
			.map(([number, bytes]) => [xstateComponentName(number), Buffer.from(bytes).toString("hex")]),
	),
});

/** Four 32-bit words each, the lowest first. */
const vectors = (words: readonly number[]): bigint[] =>
	Array.from({ length: words.length >> 2 }, (_, i) =>
		words.slice(4 * i, 4 * i + 4).reduceRight((value, word) => (value << 32n) | BigInt(word), 0n),
	);
