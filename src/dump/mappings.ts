import { statSync } from "node:fs";
import { hex } from "../bytes/address.ts";
import { defined } from "../bytes/defined.ts";
import { contains } from "../bytes/range.ts";
import { bytesFromText } from "../bytes/text.ts";
import { isNamelessMemory } from "../descriptors/memfd.ts";
import { refuse } from "../errors.ts";
import type { Attributes, MappingAttribute } from "../forest/attributes.ts";
import type { Backing, Bounds, Mapping } from "../forest/task.ts";
import { MADV, MAP, MAP_HUGE_SHIFT } from "../linux/mman.ts";
import { withoutDeleted } from "../proc/deleted.ts";
import type { SmapsEntry } from "../proc/smaps.ts";

/** What a VMA of the living process is in a task. */
export interface Classified {
	readonly entry: SmapsEntry;
	readonly mapping: Mapping;
	/** It shows a file that has lost its name and cannot be reached: it is memory without a file from now on. */
	readonly orphan?: string;
	/** Bytes from the mapping's start to the end of that file, where known. */
	readonly fileEnd?: bigint;
}

/** What smaps does not tell of a mapping. */
export interface Behind {
	/** Gives out the ids of shared memory. */
	readonly objectOf: (entry: SmapsEntry) => number;
	/** The id of a file that has lost its name; `undefined` where it cannot be reached any more. */
	readonly ghostOf: (entry: SmapsEntry, path: string) => number | undefined;
	/** Another name of such a file. */
	readonly otherNameOf: (entry: SmapsEntry, path: string) => string | undefined;
	/** Whether a shared mapping's file was opened for writing. */
	readonly isWritable: (entry: SmapsEntry) => boolean;
	/** Whether System V's segments keep their ids: the namespace that they are in is dumped too. */
	readonly segments: boolean;
}

/**
 * The VMAs of a process as mappings of a task.
 *
 * @throws NecromancerError ERR_UNSUPPORTED for all at once that cannot be dumped.
 */
export function classify(entries: readonly SmapsEntry[], bounds: Bounds, behind: Behind): readonly Classified[] {
	const refused: string[] = [];
	const found: Classified[] = [];
	for (const entry of joinedVvar(entries)) {
		const obstacle = obstacleOf(entry);
		if (obstacle === undefined) found.push(classified(entry, bounds, behind));
		else refused.push(`${hex(entry.start)} ${obstacle}`);
	}
	if (refused.length > 0)
		refuse("ERR_UNSUPPORTED", {
			subject: refused.length === 1 ? "mapping" : `${refused.length} mappings`,
			finding: refused.slice(0, 5).join(", "),
			expectation: "which cannot be dumped yet",
		});
	return found;
}

/** The pages in front of the vdso, however many VMAs a kernel makes of them. */
function joinedVvar(entries: readonly SmapsEntry[]): SmapsEntry[] {
	const joined: SmapsEntry[] = [];
	for (const entry of entries) {
		const last = joined.at(-1);
		if (isVvar(entry) && last !== undefined && isVvar(last) && last.end === entry.start)
			joined[joined.length - 1] = { ...last, end: entry.end };
		else joined.push(entry);
	}
	return joined;
}

const isVvar = ({ name }: SmapsEntry): boolean => name.startsWith("[vvar");

function obstacleOf(entry: SmapsEntry): string | undefined {
	const { name, flags } = entry;
	if (isVvar(entry) || name === "[vdso]" || name === "[vsyscall]") return undefined;
	if (flags.has("ss")) return "is a shadow stack";
	if (flags.has("um") || flags.has("uw") || flags.has("ui")) return "is watched by userfaultfd";
	if (name.startsWith("/[aio]")) return "is a ring of asynchronous I/O (io_setup)";
	if (name.startsWith("socket:")) return "is the ring of a packet socket";
	if (name.startsWith("anon_inode:")) return `shows ${name}`;
	if (name.startsWith("/secretmem")) return "is memory that nobody else may read (memfd_secret)";
	if (flags.has("io") || flags.has("pf")) return `shows the device ${name}`;
	return undefined;
}

function classified(entry: SmapsEntry, bounds: Bounds, behind: Behind): Classified {
	const { start, end, prot, shared } = entry;
	const { backing, orphan } = backingOf(entry, bounds, behind);
	return {
		entry,
		mapping: { start, end, prot, shared, backing, flags: mapFlags(entry), advice: adviceOf(entry), ...told(entry) },
		...defined({ orphan }),
	};
}

function backingOf(
	entry: SmapsEntry,
	bounds: Bounds,
	behind: Behind,
): { readonly backing: Backing; readonly orphan?: string } {
	const { name, shared, offset } = entry;
	const readOnly = () => (shared && isMemfd(name) && !behind.isWritable(entry) ? { writable: false as const } : {});
	if (name === "[vdso]") return { backing: { kind: "vdso" } };
	if (isVvar(entry)) return { backing: { kind: "vvar" } };
	if (name === "[vsyscall]") return { backing: { kind: "vsyscall" } };
	// the kernel gives it its id for an inode (ipc/shm.c, newseg)
	if (behind.segments && shared && isSystemV(name)) return { backing: { kind: "sysv", id: entry.inode, offset } };
	if (isSharedMemory(entry))
		return { backing: { kind: "object", object: behind.objectOf(entry), offset, ...readOnly() } };
	if (entry.inode === 0n || !name.startsWith("/") || name === HUGE_PAGES)
		return { backing: { kind: "anonymous", ...roleOf(entry, bounds) } };
	const writable = shared && behind.isWritable(entry);
	const { path, deleted } = withoutDeleted(name);
	if (!deleted || isThere(entry)) return { backing: { kind: "file", path: name, offset, writable } };
	const other = behind.otherNameOf(entry, path);
	if (other !== undefined) return { backing: { kind: "file", path: other, offset, writable } };
	const ghost = behind.ghostOf(entry, path);
	if (ghost !== undefined) return { backing: { kind: "file", path, offset, writable, ghost } };
	const object = (): Backing => ({ kind: "object", object: behind.objectOf(entry), offset });
	return { backing: shared ? object() : { kind: "anonymous" }, orphan: path };
}

/** Attributes that CRIU's vma_entry has no field for. Not for vdso and vvar, which the kernel makes. */
function told({ name, flags }: SmapsEntry): Pick<Mapping, "attributes"> {
	if (name.startsWith("[v")) return {};
	const attributes: Attributes<MappingAttribute> = {
		...(flags.has("lf") ? { "locked-on-fault": 1n } : {}),
		...(flags.has("sl") ? { sealed: 1n } : {}),
	};
	return Object.keys(attributes).length === 0 ? {} : { attributes };
}

const HUGE_PAGES = "/anon_hugepage (deleted)";

/** Names that the kernel gives to memory of no file. */
const isMemfd = (name: string): boolean => name.startsWith("/memfd:");
export const isSystemV = (name: string): boolean => /^\/SYSV[0-9a-f]{8}/.test(name);

const isSharedMemory = ({ name, shared }: SmapsEntry): boolean =>
	isMemfd(name) ||
	isNamelessMemory(name) ||
	(shared && (name.startsWith("[anon_shmem:") || isSystemV(name) || name === HUGE_PAGES));

/** Whether a file of that name exists. */
function isThere({ name, inode }: SmapsEntry): boolean {
	try {
		return statSync(Buffer.from(bytesFromText(name)), { bigint: true }).ino === inode;
	} catch {
		return false;
	}
}

function roleOf(entry: SmapsEntry, { startStack }: Bounds): { readonly role?: "heap" | "stack" } {
	if (contains(entry, startStack)) return { role: "stack" };
	return entry.name === "[heap]" ? { role: "heap" } : {};
}

const mapWords: readonly (readonly [string, number])[] = [
	["gd", MAP.GROWSDOWN],
	["lo", MAP.LOCKED],
	["nr", MAP.NORESERVE],
	["dp", MAP.DROPPABLE],
];

function mapFlags({ flags, pageSize }: SmapsEntry): number {
	const huge = flags.has("ht") ? MAP.HUGETLB | (Math.log2(pageSize) << MAP_HUGE_SHIFT) : 0;
	return mapWords.reduce((bits, [word, bit]) => (flags.has(word) ? bits | bit : bits), huge);
}

const adviceWords: readonly (readonly [string, number])[] = [
	["rr", MADV.RANDOM],
	["sr", MADV.SEQUENTIAL],
	["dc", MADV.DONTFORK],
	["mg", MADV.MERGEABLE],
	["hg", MADV.HUGEPAGE],
	["nh", MADV.NOHUGEPAGE],
	["dd", MADV.DONTDUMP],
	["wf", MADV.WIPEONFORK],
];

const adviceOf = ({ flags }: SmapsEntry): bigint =>
	adviceWords.reduce((bits, [word, number]) => (flags.has(word) ? bits | (1n << BigInt(number)) : bits), 0n);
