import { address } from "../../bytes/address.ts";
import { contains, lengthOf, overlaps, rangeAt } from "../../bytes/range.ts";
import type { PartialMapping, PartialTask } from "../../forest/partial-task.ts";
import type { Bounds, Mapping, Memory, Task } from "../../forest/task.ts";
import { MAP } from "../../linux/mman.ts";
import { namedAfter } from "./named-after-process.ts";
import { shownByGdb } from "./protection.ts";
import type { ThreadPair } from "./thread-pairs.ts";

/** The donor's counterpart of a dead process's mapping, which supplies what no core tells. */
export type MappingCounterparts = (mapping: PartialMapping) => Mapping | undefined;

/**
 * By name (file and offset, vdso, heap, stack), else by place between named neighbours, else by the thread whose
 * stack it is.
 */
export function mappingCounterparts(
	dead: PartialTask,
	{ identity: { pid: donorPid }, memory: donor }: Pick<Task, "identity" | "memory">,
	bounds: Bounds,
	threads: readonly ThreadPair[],
): MappingCounterparts {
	const donorNames = namesOf(donor);
	const named = new Map<string, Mapping>();
	for (const mapping of donor.mappings) {
		const name = donorNames(mapping);
		if (name === undefined) continue;
		for (const key of [name, withProt(name, mapping.prot)]) if (!named.has(key)) named.set(key, mapping);
	}
	const deadNames = deadNamesOf(dead, donor, donorPid, bounds);
	const placed = nameless(dead, donor, deadNames, donorNames);
	const stacks = threadStacks(dead, donor, threads);
	return (mapping) => {
		const name = deadNames(mapping);
		if (name === undefined) return placed.get(mapping) ?? stacks.get(mapping);
		return named.get(withProt(name, mapping.prot)) ?? named.get(name);
	};
}

const withProt = (name: string, prot: number | undefined): string => `${prot}\n${name}`;

const objectName = (memfd: string | undefined): string => (memfd === undefined ? "[object]" : `[object ${memfd}]`);

type NameOf<M> = (mapping: M) => string | undefined;

const namesOf = (donor: Memory): NameOf<Mapping> => {
	const objects = new Map(donor.objects.map(({ id, name }) => [id, name]));
	return (mapping) => {
		const { backing } = mapping;
		if (backing.kind === "file") return `${backing.path}+${backing.offset}`;
		if (backing.kind === "object") return objectName(objects.get(backing.object));
		if (backing.kind !== "anonymous") return `[${backing.kind}]`;
		if (contains(mapping, donor.bounds.startStack)) return "[stack]";
		return overlaps(mapping, { start: donor.bounds.startBrk, end: donor.bounds.brk }) ? "[heap]" : undefined;
	};
};

function deadNamesOf(dead: PartialTask, donor: Memory, donorPid: number, bounds: Bounds): NameOf<PartialMapping> {
	const theirs = new Set(donor.mappings.flatMap(({ backing }) => (backing.kind === "file" ? [backing.path] : [])));
	const donorPath = (path: string): string => {
		if (path === dead.memory.executable) return donor.executable;
		const renamed = namedAfter(path, dead.pid, donorPid);
		return !theirs.has(path) && theirs.has(renamed) ? renamed : path;
	};
	return (mapping) => {
		const { kernel, file } = mapping;
		if (kernel !== undefined) return `[${kernel}]`;
		if (file !== undefined) {
			if (file.deleted && file.path.startsWith("/memfd:")) return objectName(file.path.slice("/memfd:".length));
			if (file.deleted && /^\/(?:SYSV|dev\/zero$)/.test(file.path)) return objectName(undefined);
			return `${donorPath(file.path)}+${file.offset}`;
		}
		if (contains(mapping, bounds.startStack)) return "[stack]";
		return overlaps(mapping, { start: bounds.startBrk, end: bounds.brk }) ? "[heap]" : undefined;
	};
}

/**
 * Pairs nameless mappings by their place: programs map in one order, so between the same two named neighbours the lists run
 * alike from either end. A pair has the same protection, and the same size unless it is a stack that grows.
 */
function nameless(
	dead: PartialTask,
	donor: Memory,
	deadNames: NameOf<PartialMapping>,
	donorNames: NameOf<Mapping>,
): ReadonlyMap<PartialMapping, Mapping> {
	const pairs = new Map<PartialMapping, Mapping>();
	const fits = (mapping: PartialMapping, other: Mapping): boolean =>
		(lengthOf(mapping) === lengthOf(other) || (other.flags & MAP.GROWSDOWN) !== 0) &&
		mapping.prot === (dead.writer === "kernel" ? other.prot : shownByGdb(other.prot));
	const theirs = new Map(gapsOf(donor.mappings, donorNames).map((gap) => [gap.between, gap.members]));
	for (const { between, members } of gapsOf(dead.memory.mappings, deadNames)) {
		const others = theirs.get(between) ?? [];
		const shared = Math.min(members.length, others.length);
		const pairAt = (i: number): boolean => {
			const mapping = members.at(i);
			const other = others.at(i);
			if (mapping === undefined || other === undefined || !fits(mapping, other)) return false;
			pairs.set(mapping, other);
			return true;
		};
		let front = 0;
		while (front < shared && pairAt(front)) front++;
		for (let back = 1; back <= shared - front && pairAt(-back); back++);
	}
	return pairs;
}

/** The nameless mappings between each two named ones. gdb leaves vvar out, so it names nothing here. */
function gapsOf<M>(
	mappings: readonly M[],
	nameOf: NameOf<M>,
): { readonly between: string; readonly members: readonly M[] }[] {
	const gaps: { between: string; members: M[] }[] = [];
	let below = "";
	let members: M[] = [];
	for (const mapping of mappings) {
		const name = nameOf(mapping);
		if (name === "[vvar]" || name === "[guard]") continue;
		if (name === undefined) {
			members.push(mapping);
			continue;
		}
		gaps.push({ between: `${below}\n${name}`, members });
		below = name;
		members = [];
	}
	gaps.push({ between: `${below}\n`, members });
	return gaps;
}

/**
 * The counterpart of a thread's stack is the stack of the donor's thread, for its flags (MAP_STACK means no huge pages since Linux
 * 6.7).
 */
function threadStacks(
	dead: PartialTask,
	donor: Memory,
	threads: readonly ThreadPair[],
): ReadonlyMap<PartialMapping, Mapping> {
	const stacks = new Map<PartialMapping, Mapping>();
	const [, ...others] = threads;
	const first = others.find(({ own }) => own);
	for (const thread of others) {
		const mapping = rangeAt(dead.memory.mappings, address(thread.dead.registers.sp));
		const pair = thread.own ? thread : first;
		const found = pair && rangeAt(donor.mappings, address(pair.donor.registers.sp));
		if (mapping !== undefined && found?.backing.kind === "anonymous" && found.backing.role === undefined)
			stacks.set(mapping, found);
	}
	return stacks;
}
