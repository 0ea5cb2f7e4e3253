import { basename } from "node:path";
import { type Address, address, hex } from "../../bytes/address.ts";
import { type Range, rangeAt } from "../../bytes/range.ts";
import { escapeText } from "../escape-text.ts";

/** A mapping as far as it gives names to addresses. Lists of them are sorted and without overlaps. */
export interface NamedPlace extends Range {
	readonly path?: string;
	/** Bytes into the file. */
	readonly offset?: bigint;
	readonly label: string;
}

/** `libc.so.6+0xd57e4` (an offset into the file), `[vdso]+0x9f2` (into the mapping), `0x4000 (not mapped)`. */
export function placeText(at: Address, places: readonly NamedPlace[]): string {
	const place = rangeAt(places, at);
	if (place === undefined) return `${hex(at)} (not mapped)`;
	const into = at - place.start;
	if (place.path !== undefined) return `${escapeText(basename(place.path))}+${hex((place.offset ?? 0n) + into)}`;
	const label = escapeText(place.label);
	return label.startsWith("[") ? `${label}+${hex(into)}` : `${hex(at)} (${label})`;
}

/** The same for programs: which file or mapping, and how far into it. */
export function placeOf(at: bigint, places: readonly NamedPlace[]) {
	const place = rangeAt(places, address(at));
	if (place === undefined) return null;
	const offset = (place.path === undefined ? 0n : (place.offset ?? 0n)) + at - place.start;
	return { path: place.path ?? null, label: place.path === undefined ? place.label : null, offset: hex(offset) };
}
