import type { Codec, Layout } from "../bytes/layout.ts";
import type { Arg, Place } from "./args.ts";
import { bytesAt, hexadecimal, literalOf, pointerAt, pointerTo, type Show, type Spell } from "./kinds.ts";

/** How a member is said: as an argument would be, or, where it is a structure itself, by where it lies. */
export type Members = Readonly<Record<string, Spell | { readonly inner: Show }>>;

/**
 * `{flags=CLONE_VM, stack=&[stack of 12]}`: members that are zero are left out, others hexadecimal unless `members` knows.
 *
 * @param zeros whether zeros are shown too.
 */
export function struct<F>(layout: Layout<F>, members: Members = {}, zeros = false): Show {
	const codecs = Object.entries(layout.fields as object) as [string, Codec<unknown>][];
	return (place) => {
		const record = layout.decode(bytesAt(place, layout.size)) as Readonly<Record<string, unknown>>;
		const words = codecs.flatMap(([name, codec]) => {
			const at = layout.offsetOf(name as keyof F & string);
			const spell = members[name] ?? hexadecimal;
			if (typeof spell !== "function") return [`${name}=${spell.inner(within(place, at))}`];
			const arg: Arg | undefined = codec.size === 8 ? pointerAt(place, at) : undefined;
			const value = arg ?? wordOf(record[name], codec.size);
			return value === undefined || (value === 0n && !zeros) ? [] : [`${name}=${spell(value, [])}`];
		});
		return `{${words.join(", ")}}`;
	};
}

/** Numbers as the 64 bits that an argument is. */
const wordOf = (value: unknown, size: number): bigint | undefined =>
	typeof value === "bigint" || typeof value === "number" ? BigInt.asUintN(size * 8, BigInt(value)) : undefined;

/** So many bytes behind a place. */
export const within = ({ datum, offset = 0 }: Place, at: number): Place => ({ datum, offset: offset + at });

/** Lists are shown up to here. */
const MOST_ITEMS = 4;

/** `[{…}, {…}]`: as many as another argument says. */
export const arrayOf =
	(size: number, show: Show, countIndex: number): Spell =>
	(arg, args) =>
		pointerTo((place) => {
			const count = Number(literalOf(args[countIndex]) ?? 0n);
			const shown = Array.from({ length: Math.min(count, MOST_ITEMS) }, (_, i) => show(within(place, i * size)));
			return `[${[...shown, ...(count > MOST_ITEMS ? [`… ${count - MOST_ITEMS} more`] : [])].join(", ")}]`;
		})(arg, args);
