import { bytesFromText } from "../bytes/text.ts";
import { refuse } from "../errors.ts";
import type { Datum, Place } from "./args.ts";
import { matchArg } from "./args.ts";
import type { StepList } from "./program.ts";

export interface DatumOptions {
	/** A power of two; 8 unless said otherwise. */
	readonly align?: number;
	readonly pointers?: Datum["pointers"];
}

/** A datum of these bytes. */
export const bytesDatum = (name: string, bytes: Uint8Array, options: DatumOptions = {}): Place =>
	placeOf(name, bytes, bytes.length, options);

/**
 * A NUL-terminated string; its bytes are those of {@link bytesFromText}.
 *
 * @throws NecromancerError ERR_TASK_UNRUNNABLE for text with a NUL in it, which the kernel would read as a shorter one.
 */
export function pathDatum(name: string, text: string): Place {
	const bytes = bytesFromText(text);
	const nul = bytes.indexOf(0);
	if (nul >= 0)
		refuse("ERR_TASK_UNRUNNABLE", {
			subject: name,
			finding: `has a NUL as byte ${nul}`,
			expectation: `but ${bytes.length} bytes`,
		});
	return placeOf(name, bytes, bytes.length + 1, { align: 1 });
}

/** Eight zero bytes that a step saves its result into. */
export const cellDatum = (name: string): Place => placeOf(name, new Uint8Array(), 8);

/** Zeroed memory: a stack, a buffer. Bytes. */
export const spaceDatum = (name: string, size: number, align = 16): Place =>
	placeOf(name, new Uint8Array(), size, { align });

const placeOf = (
	name: string,
	bytes: Uint8Array,
	size: number,
	{ align = 8, pointers = [] }: DatumOptions = {},
): Place => ({ datum: { name, bytes, size, align, pointers } });

/** All data that lists refer to, directly or by a pointer in another, in the order in which they are met; `first` before. */
export function dataOf(lists: readonly StepList[], first: readonly Place[] = []): Datum[] {
	const met = new Set<Datum>();
	const meet = ({ datum }: Place): void => {
		if (met.has(datum)) return;
		met.add(datum);
		for (const { to } of datum.pointers) meet(to);
	};
	for (const place of first) meet(place);
	for (const { steps } of lists)
		for (const { args, save } of steps) {
			for (const arg of args)
				matchArg(arg, { literal: () => {}, address: meet, value: meet, list: () => {}, input: () => {} });
			if (save !== undefined) meet(save);
		}
	return [...met];
}
