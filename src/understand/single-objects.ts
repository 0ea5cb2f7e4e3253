import { address, fileOffset, plus } from "../bytes/address.ts";
import { type Finding, note } from "../finding.ts";
import type { PartialMapping, PartialMemory } from "../forest/partial-task.ts";
import type { Memory } from "../forest/task.ts";
import { mapped } from "./donor/memfds.ts";

/**
 * Names of memfds of which there is one object. That two mappings show the same bytes is no proof where a donor maps two objects of
 * their name.
 */
export function singleObjects(
	memory: PartialMemory,
	donor: Memory | undefined,
	report: (finding: Finding) => void,
): ReadonlySet<string> {
	const counts = new Map<string, number>();
	for (const { name } of donor === undefined ? [] : mapped(donor))
		if (name !== undefined) counts.set(name, (counts.get(name) ?? 0) + 1);
	const lent = [...counts].flatMap(([name, count]) => (count === 1 ? [name] : []));
	return new Set([...lent, ...provedSingles(memory, counts, report)]);
}

const MEMFD = "/memfd:";

/** More mappings of one name than a program has, and more bytes than are compared; pieces of them at a time. */
const MOST_MEMBERS = 32;
const MOST_COMPARED = 64 << 20;
const PIECE = 1 << 20;

const zeros = Buffer.alloc(PIECE);

/**
 * Names of memfds that are one object by what they show: each mapping shows a part that another shows too, and wherever two
 * do, their bytes are the same and not only zeros. Just-in-time compilers map their code so, once to write and once to run.
 */
function provedSingles(
	memory: PartialMemory,
	told: ReadonlyMap<string, unknown>,
	report: (finding: Finding) => void,
): ReadonlySet<string> {
	const members = new Map<string, PartialMapping[]>();
	for (const mapping of memory.mappings) {
		const { file } = mapping;
		if (file === undefined || !file.deleted || !file.path.startsWith(MEMFD)) continue;
		const name = file.path.slice(MEMFD.length);
		if (told.has(name)) continue;
		members.set(name, [...(members.get(name) ?? []).slice(0, MOST_MEMBERS), mapping]);
	}
	const proved = new Set<string>();
	const budget = { bytes: MOST_COMPARED };
	for (const [name, mappings] of members) {
		if (mappings.length < 2 || mappings.length > MOST_MEMBERS) continue;
		if (!showOneObject(mappings, memory, budget)) continue;
		proved.add(name);
		report(
			note(
				"mapping-kind",
				`${MEMFD}${name}`,
				`its ${mappings.length} mappings show the same bytes; they are taken for one object`,
			),
		);
	}
	return proved;
}

function showOneObject(mappings: readonly PartialMapping[], memory: PartialMemory, budget: { bytes: number }): boolean {
	const confirmed = new Set<PartialMapping>();
	for (const [i, one] of mappings.entries())
		for (const other of mappings.slice(i + 1)) {
			const shown = sharedPart(one, other);
			if (shown === undefined) continue;
			if (!isSame(shown, memory, budget)) return false;
			confirmed.add(one).add(other);
		}
	return confirmed.size === mappings.length;
}

interface ObjectPart {
	readonly one: bigint;
	readonly other: bigint;
	readonly length: bigint;
}

/** Where two mappings show the same part of their file, as far as the core holds both. */
function sharedPart(one: PartialMapping, other: PartialMapping): ObjectPart | undefined {
	const [from, to] = [one, other].map((mapping) => mapping.file?.offset ?? fileOffset(0));
	if (from === undefined || to === undefined) return undefined;
	const start = from > to ? from : to;
	const [end, otherEnd] = [from + one.held, to + other.held];
	const length = (end < otherEnd ? end : otherEnd) - start;
	return length <= 0n ? undefined : { one: one.start + start - from, other: other.start + start - to, length };
}

function isSame({ one, other, length }: ObjectPart, memory: PartialMemory, budget: { bytes: number }): boolean {
	let written = false;
	for (let done = 0n; done < length; done += BigInt(PIECE)) {
		const size = length - done < PIECE ? Number(length - done) : PIECE;
		budget.bytes -= size;
		if (budget.bytes < 0) return false;
		const [mine, theirs] = [one, other].map((at) => memory.read(plus(address(at), done), size));
		if (mine === undefined || theirs === undefined || !mine.equals(theirs)) return false;
		written ||= !mine.equals(zeros.subarray(0, size));
	}
	return written;
}
