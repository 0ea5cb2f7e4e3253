import { type Address, hex, pagesUp, plus } from "../../bytes/address.ts";
import { held, type Placed, place } from "../../bytes/extent.ts";
import { lengthOf } from "../../bytes/range.ts";
import { refuse } from "../../errors.ts";
import { loss } from "../../finding.ts";
import type { Mapping, Memory, SharedObject } from "../../forest/task.ts";
import { MAP, MREMAP, PROT_READ, PROT_WRITE } from "../../linux/mman.ts";
import type { Context } from "../context.ts";
import type { FdSlot } from "../files/slots.ts";
import { nameOf } from "./classify.ts";
import { flagsOf, hugetlbOf, MLOCK_ONFAULT, NO_FILE } from "./map.ts";
import { isOneRun, type Member, memfdsOn, type ObjectWindow } from "./memfds.ts";

/** What is left to do for shared objects once all of them are mapped. */
export interface MappedObjects {
	/** Their bytes, at the addresses where they can be written until `protect`. */
	readonly contents: readonly Placed<Address>[];
	/** Protections that mappings have until then, where they are not the final ones. */
	readonly prots: ReadonlyMap<Mapping, number>;
	/** Unmaps what was only there to write through. A step of `protect`. */
	readonly finish: () => void;
	/** Gives memfds their numbers, owners, permissions and seals, once nothing is written to them. */
	readonly settle: () => void;
}

/**
 * Makes shared memory and maps it everywhere it was. Without a name it is shared anonymous memory again: made at its one
 * place, or aside and then copied to its places by mremap(2) with an old length of 0, which maps the same pages once more.
 * With a name, or where huge pages or private mappings ask for a descriptor, it is a memfd.
 *
 * @param slots all that will be open; the memfds among them show the same memory.
 * @throws NecromancerError ERR_TASK_UNRUNNABLE for a mapping or descriptor of no object, bytes beyond an object's end, or one
 * that is sealed and written all the same.
 */
export function mapObjects(
	memory: Pick<Memory, "objects">,
	mappings: readonly Mapping[],
	filled: ReadonlySet<Mapping>,
	slots: readonly FdSlot[],
	context: Context,
): MappedObjects {
	const memfds = memfdsOn(slots, context);
	const contents: Placed<Address>[] = [];
	const prots = new Map<Mapping, number>();
	const windows: { readonly start: Address; readonly length: bigint }[] = [];
	for (const { object, members } of objectsOf(memory, mappings, memfds.shown, context)) {
		requireWithin(object);
		const common = context.common?.objects.get(object.id);
		if (common !== undefined) {
			const { window, memfd, fills } = common;
			if (memfd !== undefined)
				memfds.mapCommon(object, members, filled, prots, memfd.number, fills ? window : undefined);
			else if (window !== undefined) mapMembers(window.start, members, prots, context);
			if (window === undefined || (memfd !== undefined && !fills)) continue;
			windows.push({ start: window.start, length: lengthOf(window) });
			if (fills) contents.push(...contentsAt(window.start, object));
			continue;
		}
		const window =
			memfds.shown.has(object.id) || needsDescriptor(object, members)
				? memfds.map(object, members, filled, prots)
				: mapShared(object, members, prots, context);
		if (window === undefined) continue;
		if (window.aside) windows.push({ start: window.start, length: window.length });
		contents.push(...contentsAt(window.start, object));
	}
	const finish = (): void => {
		for (const { start, length } of windows)
			context.draft.leader.add("protect", "munmap", [start, length], "the object is filled");
	};
	return { contents, prots, finish, settle: memfds.settle };
}

/** Shared anonymous memory. */
function mapShared(
	object: SharedObject,
	members: readonly Member[],
	prots: Map<Mapping, number>,
	context: Context,
): ObjectWindow | undefined {
	const leader = context.draft.leader;
	const length = pagesUp(object.size);
	const types = members.reduce<number>((all, { mapping }) => all | flagsOf(mapping), MAP.ANONYMOUS);
	const flags = BigInt(types & ~MAP.LOCKED);
	const [first] = members;
	if (first === undefined) return undefined;
	const whole = isOneRun(members, length);
	const start = whole ? first.mapping.start : context.reserve(length);
	leader.add(
		"map",
		"mmap",
		[start, length, BigInt(PROT_READ | PROT_WRITE), flags, NO_FILE, 0n],
		whole ? "shared memory" : "shared memory, made aside",
		{ expect: { exactly: start } },
	);
	mapMembers(whole ? undefined : start, members, prots, context);
	return { start, length, aside: !whole };
}

/** @param from where the object is mapped aside; absent where the mappings are there already. */
export function mapMembers(
	from: Address | undefined,
	members: readonly Member[],
	prots: Map<Mapping, number>,
	{ draft: { leader } }: Context,
): void {
	for (const { mapping, offset } of members) {
		const size = lengthOf(mapping);
		prots.set(mapping, PROT_READ | PROT_WRITE);
		if (from !== undefined)
			leader.add(
				"map",
				"mremap",
				[plus(from, offset), 0n, size, BigInt(MREMAP.MAYMOVE | MREMAP.FIXED), mapping.start],
				"the same memory here",
				{ expect: { exactly: mapping.start } },
			);
		if (mapping.attributes?.["locked-on-fault"] === 1n)
			leader.add("map", "mlock2", [mapping.start, size, MLOCK_ONFAULT], "its pages are locked as they come");
		else if ((mapping.flags & MAP.LOCKED) !== 0) leader.add("map", "mlock", [mapping.start, size], "locked in memory");
	}
}

/** Whether only a memfd can be it: it has a name, or is mapped in a way that takes a descriptor. */
export const needsDescriptor = (object: SharedObject, members: readonly Member[]): boolean =>
	object.name !== undefined ||
	members.some(
		({ mapping, offset }) =>
			!mapping.shared || hugetlbOf(mapping) !== 0 || offset + lengthOf(mapping) > pagesUp(object.size),
	);

/**
 * Each object with its mappings, in the order of their addresses, then those that only descriptors show. System V segments of a
 * namespace that nobody knows count as objects without bytes.
 */
function objectsOf(
	memory: Pick<Memory, "objects">,
	mappings: readonly Mapping[],
	shown: ReadonlyMap<number, FdSlot>,
	{ draft, segments }: Context,
): { readonly object: SharedObject; readonly members: readonly Member[] }[] {
	const known = new Map(memory.objects.map((object) => [object.id, object]));
	const groups = new Map<string, { object: SharedObject; members: Member[] }>();
	for (const mapping of mappings) {
		const { backing } = mapping;
		if (backing.kind === "object") {
			const object =
				known.get(backing.object) ??
				refuse("ERR_TASK_UNRUNNABLE", {
					subject: nameOf(mapping),
					finding: `shows shared object ${backing.object}`,
					expectation: "which is not there",
				});
			const group = groups.get(`${backing.object}`) ?? { object, members: [] };
			groups.set(`${backing.object}`, group);
			group.members.push({ mapping, offset: backing.offset });
		} else if (backing.kind === "sysv" && segments === undefined) {
			const group = groups.get(`sysv ${backing.id}`) ?? { object: { id: -1, size: 0n, contents: [] }, members: [] };
			groups.set(`sysv ${backing.id}`, group);
			group.members.push({ mapping, offset: backing.offset });
			const end = backing.offset + lengthOf(mapping);
			if (end > group.object.size) group.object = { ...group.object, size: end };
			draft.report(
				loss(
					"contents-lost",
					nameOf(mapping),
					`System V segment ${backing.id} becomes shared memory of its own; its bytes are lost and read as zeros`,
				),
			);
		}
	}
	for (const [id, { number }] of shown) {
		const object =
			known.get(id) ??
			refuse("ERR_TASK_UNRUNNABLE", {
				subject: `descriptor ${number}`,
				finding: `shows shared object ${id}`,
				expectation: "which is not there",
			});
		if (!groups.has(`${id}`)) groups.set(`${id}`, { object, members: [] });
	}
	return [...groups.values()];
}

function requireWithin({ contents, size }: SharedObject): void {
	const end = pagesUp(size);
	for (const { start, length, source } of contents)
		if (start + length > end)
			refuse("ERR_TASK_UNRUNNABLE", {
				subject: source.name,
				finding: `holds bytes up to ${hex(start + length)} of a shared object`,
				expectation: `which has ${size}`,
			});
}

/** What there is of an object's bytes, where it is mapped. */
const contentsAt = (window: Address, { contents }: SharedObject): Placed<Address>[] =>
	contents
		.filter(({ available }) => available > 0n)
		.map((content) => place(plus(window, content.start), held(content)));
