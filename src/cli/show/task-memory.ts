import { type Address, type FileOffset, plus } from "../../bytes/address.ts";
import { type Placed, rangeOf } from "../../bytes/extent.ts";
import { byStart, firstEndingAbove, lengthOf, type Range } from "../../bytes/range.ts";
import type { Mapping, Memory, Task } from "../../forest/task.ts";
import { MADV, mapFlagsText } from "../../linux/mman.ts";
import { type MappingView, stacksIn } from "./view.ts";

/** Every mapping of a task, with what the pages files hold of it. */
export function mappingsOfTask({ memory, threads }: Task): MappingView[] {
	const plain = memory.mappings.filter(({ backing }) => backing.kind !== "guard");
	const stacks = stacksIn(plain, threads);
	const held = holdings(memory);
	const names = new Map(memory.objects.map(({ id, name }) => [id, name]));
	return memory.mappings.map((mapping): MappingView => {
		const { start, end, prot, shared, backing } = mapping;
		const base = { start, end, prot, shared, held: held(mapping), remarks: remarksOf(mapping) };
		switch (backing.kind) {
			case "file":
				return { ...base, kind: "file", label: backing.path, path: backing.path, offset: backing.offset, rest: "file" };
			case "object": {
				const name = names.get(backing.object);
				const label = name === undefined ? `[shared memory ${backing.object}]` : `[memfd ${name}]`;
				return { ...base, kind: "object", label, offset: backing.offset, rest: "nowhere" };
			}
			case "sysv":
				return {
					...base,
					kind: "sysv",
					label: `[System V segment ${backing.id}]`,
					offset: backing.offset,
					rest: "nowhere",
				};
			case "anonymous": {
				const tid = stacks.get(mapping);
				const label = tid === undefined ? "anonymous" : `[stack:${tid}]`;
				const { role } = backing;
				return { ...base, kind: role ?? "anonymous", label: role === undefined ? label : `[${role}]`, rest: "nowhere" };
			}
			default:
				return { ...base, kind: backing.kind, label: `[${backing.kind}]`, rest: "kernel" };
		}
	});
}

/** Says how many bytes of a mapping are in the pages files. */
function holdings({ contents, objects }: Memory): (mapping: Mapping) => bigint {
	const own = coverage(contents);
	const shared = new Map(objects.map(({ id, contents: parts }) => [id, coverage(parts)]));
	return ({ start, end, backing }) => {
		if (backing.kind === "guard") return 0n;
		if (backing.kind !== "object") return own({ start, end });
		const { offset } = backing;
		return shared.get(backing.object)?.({ start: offset, end: plus(offset, end - start) }) ?? 0n;
	};
}

/**
 * Tells how many bytes of a range there are contents for. Forged images may have many overlapping contents: each byte counts
 * once, and a query takes logarithmic time.
 */
function coverage<At extends Address | FileOffset>(contents: readonly Placed<At>[]): (range: Range<At>) => bigint {
	const pieces: { start: At; end: At; before: bigint }[] = [];
	for (const { start, end } of contents.map((content) => rangeOf(content)).sort(byStart)) {
		const last = pieces.at(-1);
		if (last === undefined || start > last.end)
			pieces.push({ start, end, before: last === undefined ? 0n : last.before + lengthOf(last) });
		else if (end > last.end) last.end = end;
	}
	/** Bytes below `at`. */
	const below = (at: bigint): bigint => {
		const next = pieces[firstEndingAbove(pieces, at)];
		if (next !== undefined) return next.before + (at > next.start ? lengthOf({ start: next.start, end: at }) : 0n);
		const last = pieces.at(-1);
		return last === undefined ? 0n : last.before + lengthOf(last);
	};
	return ({ start, end }) => below(end) - below(start);
}

const advices: ReadonlyMap<number, string> = new Map(
	Object.entries(MADV).map(([name, number]) => [number, `MADV_${name}`]),
);

const remarksOf = ({ flags, advice }: Mapping): string[] => [
	...(flags === 0 ? [] : [mapFlagsText(flags)]),
	...Array.from({ length: 64 }, (_, n) => n)
		.filter((n) => ((advice >> BigInt(n)) & 1n) === 1n)
		.map((n) => advices.get(n) ?? `advice ${n}`),
];
