import { hex } from "../../bytes/address.ts";
import { protText } from "../../linux/mman.ts";
import { escapeText } from "../escape-text.ts";
import { fold, withHidden } from "../fold.ts";
import { longSection } from "../section.ts";
import { sizeText } from "../size-text.ts";
import { type Cell, linesOf } from "../table.ts";
import type { Paint } from "../terminal.ts";
import { type MappingView, totalsOf } from "./view.ts";

/** What the section calls the places where bytes can be. */
export interface PlaceWords {
	/** `in the core`, `in the pages files`. */
	readonly held: string;
	/** `untouched or left out`, `zeros`. */
	readonly nowhere: string;
}

/** The address space, one line a mapping: range, protection, size, how much of it is held, what it is. */
export function* mappingsText(
	mappings: readonly MappingView[],
	words: PlaceWords,
	paint: Paint,
	verbose: boolean,
): Generator<string, void, undefined> {
	const { mapped, held, file, kernel, nowhere } = totalsOf(mappings);
	const parts = [
		`${sizeText(held)} ${words.held}`,
		...(file === 0n ? [] : [`${sizeText(file)} in the mapped files`]),
		...(kernel === 0n ? [] : [`${sizeText(kernel)} the kernel's`]),
		...(nowhere === 0n ? [] : [`${sizeText(nowhere)} ${words.nowhere}`]),
	];
	const folded = fold(mappings, verbose);
	const heading: Cell[] = ["range", "prot", "size", "held", "what"].map((text) => ({ text, paint: paint.dim }));
	const shown = [undefined, ...folded.head, ...folded.tail];
	const lines = linesOf("llrrl", shown, (mapping) => (mapping === undefined ? heading : rowOf(mapping, paint)));
	const more = folded.hidden.length === 0 ? "" : paint.dim(`  ${hiddenText(folded.hidden, words)}`);
	const remark = `${mappings.length}, ${sizeText(mapped)}: ${parts.join(", ")}`;
	yield* longSection("mappings", remark, withHidden(lines, folded, more, 1), paint);
}

const hiddenText = (hidden: readonly MappingView[], words: PlaceWords): string => {
	const { mapped, held } = totalsOf(hidden);
	return `… ${hidden.length} more, ${sizeText(mapped)}, ${sizeText(held)} ${words.held} (-v shows them)`;
};

function rowOf(mapping: MappingView, paint: Paint): Cell[] {
	const { start, end, prot, shared, held } = mapping;
	const letters = prot === undefined ? "???" : protText(prot);
	const heldText = held === 0n ? "-" : held >= end - start ? "all" : sizeText(held);
	return [
		rangeText(mapping),
		`${letters}${shared === undefined ? "" : shared ? "s" : "p"}`,
		sizeText(end - start),
		held === 0n ? { text: heldText, paint: paint.dim } : heldText,
		{ text: nameOf(mapping), paint: mapping.path === undefined ? paint.dim : (text) => text },
	];
}

function nameOf({ path, label, offset, deleted, remarks }: MappingView): string {
	const at = path === undefined || offset === undefined || offset === 0n ? "" : `+${hex(offset)}`;
	const name = `${escapeText(path ?? label)}${at}${deleted === true ? " (deleted)" : ""}`;
	return [name, ...remarks].join("  ");
}

/** A range as /proc/PID/maps spells it. */
const rangeText = ({ start, end }: { readonly start: bigint; readonly end: bigint }): string =>
	`${bare(start)}-${bare(end)}`;

const bare = (value: bigint): string => value.toString(16).padStart(8, "0");
