import type { Arg, Place } from "./program.ts";

/** What becomes of an argument, by its kind. */
export interface ArgCases<T> {
	readonly literal: (value: bigint) => T;
	readonly address: (place: Place) => T;
	readonly value: (place: Place) => T;
	readonly list: (name: string) => T;
}

/** Tells arguments apart. Not with `in`: every object has a `valueOf`. */
export function matchArg<T>(arg: Arg, { literal, address, value, list }: ArgCases<T>): T {
	if (typeof arg === "bigint") return literal(arg);
	if (hasOwn(arg, "datum")) return address(arg);
	return hasOwn(arg, "list") ? list(arg.list) : value(arg.valueOf);
}

const hasOwn = <A extends object, K extends string>(arg: A, key: K): arg is Extract<A, Record<K, unknown>> =>
	Object.hasOwn(arg, key);
