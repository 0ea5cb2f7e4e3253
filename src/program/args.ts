/** An argument of a step, in terms of whatever names a place (P) and a list (L). */
export type ArgOf<P, L> =
	| bigint
	/** The address of a place. */
	| P
	/** The 64-bit value that an earlier step saved there. */
	| { readonly valueOf: P }
	/** The first step of a list, for `spawn`, or a step to go on at. */
	| { readonly list: L }
	/** The number of a file that is open before the first step. */
	| { readonly input: InputFile };

/** A file that whoever starts a program hands to it. */
export interface InputFile {
	/** In the program's descriptor table, when it is used. */
	readonly number: number;
	/** For people: the last part of its path. */
	readonly name: string;
}

/** Of a program that gets its addresses when it is assembled. */
export type Arg = ArgOf<Place, string>;

export interface Place {
	readonly datum: Datum;
	/** Bytes into it. */
	readonly offset?: number;
}

/** Bytes in the plan's own memory. Identity matters: two data with equal bytes are two places. */
export interface Datum {
	/** For people: `path of the log`, `clone_args of thread 12`. */
	readonly name: string;
	/** Initial content; zeros follow up to `size`. */
	readonly bytes: Uint8Array;
	readonly size: number;
	/** A power of two. */
	readonly align: number;
	/** 64-bit pointers inside it that are filled in when addresses are known. */
	readonly pointers: readonly { readonly at: number; readonly to: Place }[];
}

/** What becomes of an argument, by its kind. */
export interface ArgCases<T, P, L> {
	readonly literal: (value: bigint) => T;
	readonly address: (place: P) => T;
	readonly value: (place: P) => T;
	readonly list: (list: L) => T;
	readonly input: (file: InputFile) => T;
}

/** Tells arguments apart. Not with `in`: every object has a `valueOf`. */
export function matchArg<T, P extends object, L>(
	arg: ArgOf<P, L>,
	{ literal, address, value, list, input }: ArgCases<T, P, L>,
): T {
	if (typeof arg === "bigint") return literal(arg);
	if (isList(arg)) return list(arg.list);
	if (isInput(arg)) return input(arg.input);
	return isValue(arg) ? value(arg.valueOf) : address(arg as P);
}

/** Whether it is read when the step is run. */
export const isValue = <P extends object, L>(arg: ArgOf<P, L>): arg is { readonly valueOf: P } =>
	typeof arg === "object" && Object.hasOwn(arg, "valueOf");

const isList = <P extends object, L>(arg: Exclude<ArgOf<P, L>, bigint>): arg is { readonly list: L } =>
	Object.hasOwn(arg, "list");

const isInput = <P extends object, L>(arg: Exclude<ArgOf<P, L>, bigint>): arg is { readonly input: InputFile } =>
	Object.hasOwn(arg, "input");
