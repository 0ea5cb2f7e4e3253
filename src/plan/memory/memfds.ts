import { type Address, type FileOffset, pagesUp } from "../../bytes/address.ts";
import { pathOfDescriptor } from "../../bytes/own-descriptor.ts";
import { lengthOf, type Range } from "../../bytes/range.ts";
import { type MemfdDescription, type OpenMemfd, placeMemfds } from "../../descriptors/memfd.ts";
import type { Slot } from "../../descriptors/steps.ts";
import { refuse } from "../../errors.ts";
import type { Mapping, SharedObject } from "../../forest/task.ts";
import { AT_FDCWD, F } from "../../linux/fcntl.ts";
import { F_SEAL, MAP, PROT_READ, PROT_WRITE } from "../../linux/mman.ts";
import { O } from "../../linux/open.ts";
import type { Arg } from "../../program/args.ts";
import { cellDatum, pathDatum } from "../../program/data.ts";
import type { CommonObject, Context } from "../context.ts";
import type { FdSlot } from "../files/slots.ts";
import { addOwnership } from "../ownership.ts";
import { nameOf } from "./classify.ts";
import { flagsOf, map, protOf, protWhileFilling } from "./map.ts";
import { howToMake, nameOfMemfd, reservePages, sealsOf, sizeOfMemfd, windowRoom } from "./memfd-looks.ts";

/** A mapping of an object. */
export interface Member {
	readonly mapping: Mapping;
	readonly offset: FileOffset;
}

/** Where an object's offset 0 is mapped writable; `aside` of the process's own mappings. */
export interface ObjectWindow {
	readonly start: Address;
	readonly length: bigint;
	readonly aside: boolean;
}

/** A memfd that is open until the end: descriptors show it, or seals and read-only mappings ask for it. */
interface KeptObject {
	readonly object: SharedObject;
	readonly number: number;
}

/** memfd_create(2): files without a path. */
export interface Memfds {
	/** The first descriptor that shows an object, by the object's id. */
	readonly shown: ReadonlyMap<number, Slot<MemfdDescription>>;
	/** Makes one and maps it everywhere it was, with room to fill it through. */
	map(
		object: SharedObject,
		members: readonly Member[],
		filled: ReadonlySet<Mapping>,
		prots: Map<Mapping, number>,
	): ObjectWindow | undefined;
	/**
	 * The same of one that is there already, for several processes, and open as descriptor `number`.
	 *
	 * @param window where it is to be filled through.
	 */
	mapCommon(
		object: SharedObject,
		members: readonly Member[],
		filled: ReadonlySet<Mapping>,
		prots: Map<Mapping, number>,
		number: number,
		window: Range | undefined,
	): void;
	/**
	 * When they are filled and no longer written to: descriptors, owner, permissions, seals, in this order, for each may forbid
	 * what comes before.
	 */
	settle(): void;
}

export const isMemfd = (slot: FdSlot): slot is Slot<MemfdDescription> => slot.content.kind === "memfd";

/** A window on an object: what is not written through it takes no memory. */
const WORKING = MAP.SHARED | MAP.FIXED_NOREPLACE | MAP.NORESERVE;

/** @param slots all that will be open by the end. The memfds among them are not yet. */
export function memfdsOn(slots: readonly FdSlot[], context: Context): Memfds {
	const { draft, firstSpareFd, common } = context;
	const leader = draft.leader;
	const all = slots.filter(isMemfd);
	// who has his parent's table finds them there, and all find there what several have open
	const own = common?.borrowsTable === true ? [] : all.filter(({ key }) => common?.descriptions.has(key) !== true);
	const shown = new Map<number, Slot<MemfdDescription>>();
	for (const slot of all) if (!shown.has(slot.content.object)) shown.set(slot.content.object, slot);
	const kept = new Map<number, KeptObject>();

	const keep = (object: SharedObject, file: Arg, name: string): Arg => {
		const number = firstSpareFd + kept.size;
		kept.set(object.id, { object, number });
		const args = [file, BigInt(F.DUPFD_CLOEXEC), BigInt(firstSpareFd)] as const;
		leader.add("map", "fcntl", args, `memfd ${name}, out of the way`, { expect: { exactly: BigInt(number) } });
		leader.add("map", "close", [file], `memfd ${name} is ${number}`);
		return BigInt(number);
	};
	const mapWindow = (start: Address, length: bigint, fd: Arg): void => {
		const args = [start, length, BigInt(PROT_READ | PROT_WRITE), BigInt(WORKING), fd, 0n] as const;
		leader.add("map", "mmap", args, "a window to fill it through", { expect: { exactly: start } });
	};
	const mapFrom = (
		{ object, members, fd, number }: Mapped,
		filled: ReadonlySet<Mapping>,
		prots: Map<Mapping, number>,
		window?: ObjectWindow,
	): void => {
		const name = nameOfMemfd(object);
		const mapMember = ({ mapping, offset }: Member, file: Arg): void => {
			const writing = window?.start === mapping.start ? PROT_WRITE : 0;
			const prot = protWhileFilling(mapping, filled) | writing;
			if (prot !== protOf(mapping)) prots.set(mapping, prot);
			map(mapping, prot, flagsOf(mapping), file, offset, `memfd ${name}`, context);
		};
		const readers = members.filter((member) => isReader(object, member));
		for (const member of members) if (!readers.includes(member)) mapMember(member, fd);
		if (readers.length === 0) return;
		const reader = cellDatum(`descriptor to read memfd ${name}`);
		const path = pathDatum(`memfd ${name}`, pathOfDescriptor(number));
		const args = [AT_FDCWD, path, BigInt(O.RDONLY | O.CLOEXEC)] as const;
		leader.add("map", "openat", args, `memfd ${name}, to be read only`, { save: reader });
		for (const member of readers) mapMember(member, { valueOf: reader });
		leader.add("map", "close", [{ valueOf: reader }], "what is only read is mapped");
	};
	return {
		shown,
		mapCommon: (object, members, filled, prots, number, window) => {
			if (window !== undefined) mapWindow(window.start, window.end - window.start, BigInt(number));
			mapFrom({ object, members, fd: BigInt(number), number }, filled, prots);
		},
		map: (object, members, filled, prots) => {
			const name = nameOfMemfd(object);
			const file = cellDatum(`descriptor of memfd ${name}`);
			const how = howToMake(
				object,
				members.map(({ mapping }) => mapping),
				context,
			);
			leader.add("map", "memfd_create", [pathDatum(`name of memfd ${name}`, name), how], `memfd ${name}`, {
				save: file,
			});
			const reading = members.some((member) => isReader(object, member));
			const stays = shown.has(object.id) || sealsOf(object) !== 0 || reading;
			const fd = stays ? keep(object, { valueOf: file }, name) : { valueOf: file };
			leader.add("map", "ftruncate", [fd, sizeOfMemfd(object, name)], `its ${object.size} bytes`);
			const empty = object.contents.every(({ length }) => length === 0n);
			const window = empty ? undefined : windowOf(object, members, context);
			if (window?.aside === true) mapWindow(window.start, window.length, fd);
			mapFrom({ object, members, fd, number: kept.get(object.id)?.number ?? 0 }, filled, prots, window);
			if (stays) return window;
			addOwnership(object, fd, `memfd ${name}`, "map", context);
			leader.add("map", "close", [fd], `memfd ${name} is mapped`);
			return window;
		},
		settle: () => {
			const ours = new Set<FdSlot>(own);
			const others = slots.filter((slot) => !ours.has(slot)).map(({ number }) => number);
			placeMemfds(
				own,
				new Set(others),
				(object) => openAs(object, kept, common?.objects),
				(call, args, why, options) => leader.add("protect", call, args, why, options),
			);
			for (const { object, number } of kept.values()) {
				const [fd, seals] = [BigInt(number), sealsOf(object)];
				addOwnership(object, fd, `memfd ${object.name ?? ""}`, "protect", context);
				if (seals !== 0)
					leader.add("protect", "fcntl", [fd, BigInt(F.ADD_SEALS), BigInt(seals)], `seals of memfd ${object.name}`);
				leader.add("protect", "close", [fd], `memfd ${object.name ?? ""} is as it was`);
			}
		},
	};
}

interface Mapped {
	readonly object: SharedObject;
	readonly members: readonly Member[];
	readonly fd: Arg;
	/** The same, where it is read only somewhere. */
	readonly number: number;
}

function openAs(
	id: number,
	kept: ReadonlyMap<number, KeptObject>,
	common: ReadonlyMap<number, CommonObject> | undefined,
): OpenMemfd {
	const memfd = common?.get(id)?.memfd;
	return memfd === undefined ? { number: kept.get(id)?.number ?? 0, original: "any" } : memfd;
}

/**
 * Whether it was mapped for ever read-only: by a descriptor that could not write, or of a memfd that no longer lets anybody.
 * F_SEAL_FUTURE_WRITE leaves older mappings alone, and nobody knows which is older: the seal is kept, not the doubt.
 */
function isReader(object: SharedObject, { mapping }: Member): boolean {
	const { backing, shared, prot } = mapping;
	const sealed = (sealsOf(object) & F_SEAL.WRITE) !== 0;
	if (shared && (prot & PROT_WRITE) === 0 && (sealsOf(object) & F_SEAL.FUTURE_WRITE) !== 0) return true;
	if (!shared || !(sealed || (backing.kind === "object" && backing.writable === false))) return false;
	if ((prot & PROT_WRITE) !== 0)
		refuse("ERR_TASK_UNRUNNABLE", {
			subject: nameOf(mapping),
			finding: "is shared and writable",
			expectation: sealed
				? `but memfd ${object.name ?? ""} is sealed against writing`
				: `but memfd ${object.name ?? ""} was open for reading`,
		});
	return true;
}

/** Its one mapping, where that shows all of it; else a place aside, on the boundary that its pages need. */
function windowOf(object: SharedObject, members: readonly Member[], context: Context): ObjectWindow {
	const [only] = members;
	const { length, page } = windowRoom(
		object,
		members.map(({ mapping }) => mapping),
	);
	const whole = pagesUp(object.size, page);
	const single = only !== undefined && members.length === 1 && only.mapping.shared && isOneRun(members, whole);
	if (single && !isReader(object, only)) return { start: only.mapping.start, length: whole, aside: false };
	return { start: reservePages(context.reserve, length, page), length, aside: true };
}

/** Whether the mappings follow one another and show the whole object: one that mprotect(2) split, or was never split. */
export function isOneRun(members: readonly Member[], length: bigint): boolean {
	const start = members[0]?.mapping.start ?? 0n;
	let done = 0n;
	for (const { mapping, offset } of members) {
		if (offset !== done || mapping.start !== start + done) return false;
		done += lengthOf(mapping);
	}
	return done === length;
}
