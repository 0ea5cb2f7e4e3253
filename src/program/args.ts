import type { ArgOf } from "./program.ts";

/** What becomes of an argument, by its kind. */
export interface ArgCases<T, P, L> {
	readonly literal: (value: bigint) => T;
	readonly address: (place: P) => T;
	readonly value: (place: P) => T;
	readonly list: (list: L) => T;
}

/** Tells arguments apart. Not with `in`: every object has a `valueOf`. */
export function matchArg<T, P extends object, L>(
	arg: ArgOf<P, L>,
	{ literal, address, value, list }: ArgCases<T, P, L>,
): T {
	if (typeof arg === "bigint") return literal(arg);
	if (isList(arg)) return list(arg.list);
	return isValue(arg) ? value(arg.valueOf) : address(arg as P);
}

/** Whether it is read when the step is run. */
export const isValue = <P extends object, L>(arg: ArgOf<P, L>): arg is { readonly valueOf: P } =>
	typeof arg === "object" && Object.hasOwn(arg, "valueOf");

const isList = <P extends object, L>(arg: Exclude<ArgOf<P, L>, bigint>): arg is { readonly list: L } =>
	Object.hasOwn(arg, "list");
