import { type Address, fileOffset, hex, PAGE_SIZE, plus } from "../bytes/address.ts";
import { lengthOf } from "../bytes/range.ts";
import { refuse } from "../errors.ts";
import { MAP, MAP_HUGE_MASK, MAP_HUGE_SHIFT, MFD, MREMAP, PROT_READ, PROT_WRITE } from "../linux/mman.ts";
import type { Mapping, Memory, SharedObject } from "../task/task.ts";
import type { Circumstances } from "./circumstances.ts";
import { flagsOf, hugetlbOf, map, NO_FILE, protOf, protWhileFilling } from "./map.ts";
import type { Arg } from "./plan.ts";
import { nameOf, type Stretch } from "./survey.ts";

/** What is left to do for shared objects once all of them are mapped. */
export interface MappedObjects {
	/** Their bytes, at the addresses where they can be written until `protect`. */
	readonly stretches: readonly Stretch[];
	/** Protections that mappings have until then, where they are not the final ones. */
	readonly prots: ReadonlyMap<Mapping, number>;
	/** Unmaps what was only there to write through. A step of `protect`. */
	readonly finish: () => void;
}

interface Member {
	readonly mapping: Mapping;
	readonly offset: bigint;
}

const READ_WRITE = PROT_READ | PROT_WRITE;

/** A window on an object: what is not written through it takes no memory. */
const WORKING = MAP.SHARED | MAP.FIXED_NOREPLACE | MAP.NORESERVE;

/**
 * Makes shared memory and maps it everywhere it was. Without a name it is shared anonymous memory again: made at its one
 * place, or aside and then copied to its places by mremap(2) with an old length of 0, which maps the same pages once more.
 * With a name, or where huge pages or private mappings ask for a descriptor, it is a memfd.
 *
 * @throws NecromancerError ERR_IMAGE_CORRUPT for a mapping of no object, or bytes beyond an object's end.
 */
export function mapObjects(
	memory: Pick<Memory, "objects">,
	mappings: readonly Mapping[],
	filled: ReadonlySet<Mapping>,
	around: Circumstances,
): MappedObjects {
	const stretches: Stretch[] = [];
	const prots = new Map<Mapping, number>();
	const windows: { readonly start: Address; readonly length: bigint }[] = [];
	for (const { object, members } of objectsOf(memory, mappings, around)) {
		const window = needsDescriptor(object, members)
			? mapMemfd(object, members, filled, prots, around)
			: mapShared(object, members, prots, around);
		if (window === undefined) continue;
		if (window.aside) windows.push({ start: window.start, length: window.length });
		stretches.push(...stretchesOf(object, window.start));
	}
	const finish = (): void => {
		for (const { start, length } of windows)
			around.draft.list("leader").add("protect", "munmap", [start, length], "the object is filled");
	};
	return { stretches, prots, finish };
}

/** Where an object's offset 0 is mapped writable; `aside` of the process's own mappings. */
interface Window {
	readonly start: Address;
	readonly length: bigint;
	readonly aside: boolean;
}

/** Shared anonymous memory. */
function mapShared(
	object: SharedObject,
	members: readonly Member[],
	prots: Map<Mapping, number>,
	around: Circumstances,
): Window | undefined {
	const leader = around.draft.list("leader");
	const length = pagesUp(object.size);
	const types = members.reduce<number>((all, { mapping }) => all | flagsOf(mapping), MAP.ANONYMOUS);
	const flags = BigInt(types & ~MAP.LOCKED);
	const [first] = members;
	if (first === undefined) return undefined;
	const whole = isOneRun(members, length);
	const start = whole ? first.mapping.start : around.reserve(length);
	leader.add(
		"map",
		"mmap",
		[start, length, BigInt(READ_WRITE), flags, NO_FILE, 0n],
		whole ? "shared memory" : "shared memory, made aside",
		{ expect: { exactly: start } },
	);
	for (const { mapping, offset } of members) {
		const size = lengthOf(mapping);
		prots.set(mapping, READ_WRITE);
		if (!whole)
			leader.add(
				"map",
				"mremap",
				[plus(start, offset), 0n, size, BigInt(MREMAP.MAYMOVE | MREMAP.FIXED), mapping.start],
				"the same memory here",
				{ expect: { exactly: mapping.start } },
			);
		if ((mapping.flags & MAP.LOCKED) !== 0) leader.add("map", "mlock", [mapping.start, size], "locked in memory");
	}
	return { start, length, aside: !whole };
}

/** memfd_create(2): a file without a path. */
function mapMemfd(
	object: SharedObject,
	members: readonly Member[],
	filled: ReadonlySet<Mapping>,
	prots: Map<Mapping, number>,
	around: Circumstances,
): Window | undefined {
	const { draft } = around;
	const leader = draft.list("leader");
	// the kernel's own name for shared memory without one
	const name = object.name ?? "/dev/zero";
	const file = draft.cell(`descriptor of memfd ${name}`);
	const huge = members.reduce((all, { mapping }) => all | hugetlbOf(mapping), 0);
	const how = MFD.CLOEXEC | (huge === 0 ? 0 : MFD.HUGETLB | (huge & (MAP_HUGE_MASK << MAP_HUGE_SHIFT)));
	const fd: Arg = { valueOf: file };
	leader.add("map", "memfd_create", [draft.path(`name of memfd ${name}`, name), BigInt(how)], `memfd ${name}`, {
		save: file,
	});
	leader.add("map", "ftruncate", [fd, object.size], `its ${object.size} bytes`);
	const window = object.contents.length === 0 ? undefined : windowOf(object, members, huge, around);
	if (window?.aside === true) {
		const args = [window.start, window.length, BigInt(READ_WRITE), BigInt(WORKING), fd, 0n];
		leader.add("map", "mmap", args, "a window to fill it through", { expect: { exactly: window.start } });
	}
	for (const { mapping, offset } of members) {
		const prot = protWhileFilling(mapping, filled) | (window?.start === mapping.start ? PROT_WRITE : 0);
		if (prot !== protOf(mapping)) prots.set(mapping, prot);
		map(mapping, prot, flagsOf(mapping), fd, offset, `memfd ${name}`, around);
	}
	leader.add("map", "close", [fd], `memfd ${name} is mapped`);
	return window;
}

/** Its one mapping, where that shows all of it; else a place aside, on the boundary that its pages need. */
function windowOf(object: SharedObject, members: readonly Member[], huge: number, around: Circumstances): Window {
	const pageLog = (huge >>> MAP_HUGE_SHIFT) & MAP_HUGE_MASK;
	const page = huge === 0 ? PAGE_SIZE : 1n << BigInt(pageLog === 0 ? 21 : pageLog);
	const length = pagesUp(object.size, page);
	const [only] = members;
	if (only !== undefined && members.length === 1 && only.mapping.shared && isOneRun(members, length))
		return { start: only.mapping.start, length, aside: false };
	const start = around.reserve(huge === 0 ? length : length + page);
	return { start: ((start + page - 1n) & ~(page - 1n)) as Address, length, aside: true };
}

const needsDescriptor = (object: SharedObject, members: readonly Member[]): boolean =>
	object.name !== undefined ||
	members.some(
		({ mapping, offset }) =>
			!mapping.shared || hugetlbOf(mapping) !== 0 || offset + lengthOf(mapping) > pagesUp(object.size),
	);

/** Whether the mappings follow one another and show the whole object: one that mprotect(2) split, or was never split. */
function isOneRun(members: readonly Member[], length: bigint): boolean {
	const start = members[0]?.mapping.start ?? 0n;
	let done = 0n;
	for (const { mapping, offset } of members) {
		if (offset !== done || mapping.start !== start + done) return false;
		done += lengthOf(mapping);
	}
	return done === length;
}

/** Each object with its mappings, in the order of their addresses. System V segments count as objects without bytes. */
function objectsOf(
	memory: Pick<Memory, "objects">,
	mappings: readonly Mapping[],
	{ draft }: Circumstances,
): { readonly object: SharedObject; readonly members: readonly Member[] }[] {
	const known = new Map(memory.objects.map((object) => [object.id, object]));
	const groups = new Map<string, { object: SharedObject; members: Member[] }>();
	for (const mapping of mappings) {
		const { backing } = mapping;
		if (backing.kind === "object") {
			const object =
				known.get(backing.object) ??
				refuse("ERR_IMAGE_CORRUPT", {
					subject: nameOf(mapping),
					finding: `shows shared object ${backing.object}`,
					expectation: "which is not there",
				});
			const group = groups.get(`${backing.object}`) ?? { object, members: [] };
			groups.set(`${backing.object}`, group);
			group.members.push({ mapping, offset: backing.offset });
		} else if (backing.kind === "sysv") {
			const group = groups.get(`sysv ${backing.id}`) ?? { object: { id: -1, size: 0n, contents: [] }, members: [] };
			groups.set(`sysv ${backing.id}`, group);
			group.members.push({ mapping, offset: backing.offset });
			const end = backing.offset + lengthOf(mapping);
			if (end > group.object.size) group.object = { ...group.object, size: end };
			draft.report({
				subject: nameOf(mapping),
				text: `System V segment ${backing.id} becomes shared memory of its own; its bytes are lost and read as zeros`,
			});
		}
	}
	return [...groups.values()];
}

function stretchesOf(object: SharedObject, window: Address): Stretch[] {
	const end = pagesUp(object.size);
	return object.contents.flatMap(({ start, length, available, source, offset }) => {
		if (start + length > end)
			refuse("ERR_IMAGE_CORRUPT", {
				subject: source.name,
				finding: `holds bytes up to ${hex(start + length)} of a shared object`,
				expectation: `which has ${object.size}`,
			});
		const held = available < length ? available : length;
		return held === 0n ? [] : [{ start: plus(window, start), length: held, source, offset: fileOffset(offset) }];
	});
}

const pagesUp = (length: bigint, page: bigint = PAGE_SIZE): bigint => ((length + page - 1n) / page) * page;
