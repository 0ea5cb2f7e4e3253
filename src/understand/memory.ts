import { type Address, address, hex, isPageAligned, PAGE_SIZE } from "../bytes/address.ts";
import type { Placed } from "../bytes/extent.ts";
import { byStart, contains, lengthOf, overlaps, rangeAt } from "../bytes/range.ts";
import { refuse } from "../errors.ts";
import { caution, type Finding, loss, note } from "../finding.ts";
import type { MappedFile } from "../forest/file-identity.ts";
import type { PartialMapping, PartialTask } from "../forest/partial-task.ts";
import { reportPointers } from "../forest/pointers.ts";
import type { Backing, Bounds, Mapping, Memory } from "../forest/task.ts";
import { withOneVvar } from "../forest/vvar.ts";
import { MADV, MAP, PROT_WRITE } from "../linux/mman.ts";
import { type MappingCounterparts, mappingCounterparts } from "./donor/mapping-counterparts.ts";
import type { MovedDonor } from "./donor/moved-donor.ts";
import type { Evidence } from "./evidence/evidence.ts";
import { mappedFileOf } from "./mapped-file.ts";
import { kindOfMapping } from "./mapping-kind.ts";
import { groupObjects } from "./objects.ts";
import { understandProtections } from "./protections.ts";
import { linkedPaths } from "./relocate.ts";
import { singleObjects } from "./single-objects.ts";

/** Anonymous mappings of this size are reservations that need not fit the overcommit limit (mm/util.c). */
const RESERVATION = 1n << 30n;

/**
 * The dead process's address space: ranges, protections and bytes from the core, what a core cannot tell (shared or
 * private, growth, advice) from the donor's mapping of the same file or role; without a donor, as is the rule.
 */
export function understandMemory(
	dead: PartialTask,
	evidence: Evidence,
	lender: MovedDonor | undefined,
	bounds: Bounds,
	report: (finding: Finding) => void,
): Memory {
	requireStacks(dead);
	reportPointers(dead, report);
	const donor = lender?.task.memory;
	const objects = groupObjects(dead.memory, singleObjects(dead.memory, donor, report), report);
	const counterpartOf: MappingCounterparts =
		lender === undefined ? () => undefined : mappingCounterparts(dead, lender.task, bounds, lender.pairs);
	const protectionOf = understandProtections(dead, evidence, donor, counterpartOf, report);
	const [, ...others] = dead.threads;
	const stacks = new Set(others.map(({ registers }) => rangeAt(dead.memory.mappings, address(registers.sp))));
	const mappings: Mapping[] = [];
	for (const mapping of dead.memory.mappings) {
		const counterpart = counterpartOf(mapping);
		const kind = kindOfMapping(mapping, counterpart, objects, report);
		if (kind === undefined) continue;
		const backing = withRole(kind.backing, mapping, bounds);
		mappings.push({
			start: mapping.start,
			end: mapping.end,
			prot: protectionOf(mapping),
			shared: kind.shared,
			backing,
			flags: flagsOf(mapping, backing, kind.shared, counterpart, bounds, stacks.has(mapping)) | (kind.flags ?? 0),
			advice: adviceOf(kind.backing, counterpart),
		});
	}
	const executable = executableOf(dead, donor);
	if (executable === "")
		report(
			caution(
				"file-gone",
				dead.memory.executable,
				"is the executable: /proc/PID/exe leads to the restorer's own, and a debugger has to be told where another copy is",
			),
		);
	const whole = addVvar(withOneVvar(mappings), donor);
	return {
		mappings: whole,
		contents: contentsOf(dead.memory.contents, whole, report),
		objects: objects.list,
		bounds,
		executable,
		...(donor?.executableGhost === undefined ? {} : { executableGhost: donor.executableGhost }),
		...(donor?.ghosts === undefined ? {} : { ghosts: donor.ghosts }),
		files: filesOf(whole, donor, dead),
		auxv: dead.memory.auxv,
		dumpable: donor?.dumpable ?? 1,
		...(donor?.hugePagesDisabled === undefined ? {} : { hugePagesDisabled: donor.hugePagesDisabled }),
	};
}

/** Refuses a core without stacks, as a coredump_filter without anonymous memory leaves it. */
function requireStacks(dead: PartialTask): void {
	const { mappings } = dead.memory;
	// if the core has other anonymous memory, an absent "stack" is a guard page, or where a smashed stack pointer leads
	const partial = mappings.some(
		({ file, kernel, held, missing }) =>
			file === undefined && kernel === undefined && (held > 0n || missing !== undefined),
	);
	if (partial) return;
	for (const { tid, registers } of dead.threads) {
		const stack = rangeAt(mappings, address(registers.sp));
		if (stack !== undefined && stack.held === 0n && stack.file === undefined)
			refuse("ERR_CORE_PARTIAL", {
				subject: dead.name,
				finding: `the stack of thread ${tid} at ${hex(registers.sp)} is not in the core`,
				expectation: "expected private anonymous memory to be dumped",
				remedy: "set bit 0 of /proc/PID/coredump_filter before the next death",
			});
	}
}

const withRole = (backing: Backing, mapping: PartialMapping, bounds: Bounds): Backing => {
	if (backing.kind !== "anonymous") return backing;
	if (contains(mapping, bounds.startStack)) return { ...backing, role: "stack" };
	return overlaps(mapping, { start: bounds.startBrk, end: bounds.brk }) ? { ...backing, role: "heap" } : backing;
};

function flagsOf(
	mapping: PartialMapping,
	backing: Backing,
	shared: boolean,
	counterpart: Mapping | undefined,
	bounds: Bounds,
	threadStack: boolean,
): number {
	if (mapping.kernel !== undefined) return 0;
	if (contains(mapping, bounds.startStack)) return MAP.GROWSDOWN | ((counterpart?.flags ?? 0) & ~MAP.GROWSDOWN);
	if (counterpart !== undefined && counterpart.shared === shared) return counterpart.flags;
	// MAP_NORESERVE: overcommit accounting must not refuse now what the dead process had been granted
	const reserved = !shared && backing.kind === "anonymous" && (mapping.held === 0n || lengthOf(mapping) >= RESERVATION);
	const unreserved = reserved && ((mapping.prot ?? 0) & PROT_WRITE) !== 0 ? MAP.NORESERVE : 0;
	// MAP_STACK: no huge pages since Linux 6.7, and tools recognise thread stacks by it
	const ofThread = threadStack && backing.kind === "anonymous" && backing.role === undefined;
	return unreserved | (ofThread ? MAP.STACK : 0);
}

const adviceOf = (backing: Backing, counterpart: Mapping | undefined): bigint => {
	if (backing.kind === "vvar") return 1n << BigInt(MADV.DONTDUMP);
	return counterpart?.backing.kind === backing.kind ? counterpart.advice : 0n;
};

/** gdb leaves vvar out; the vdso's code finds its data at a fixed distance below itself, as much as the donor had. */
function addVvar(mappings: readonly Mapping[], donor: Memory | undefined): Mapping[] {
	const vdso = mappings.find(({ backing }) => backing.kind === "vdso");
	const counterpart = donor?.mappings.find(({ backing }) => backing.kind === "vvar");
	if (vdso === undefined || counterpart === undefined || mappings.some(({ backing }) => backing.kind === "vvar"))
		return [...mappings];
	const start = (vdso.start - lengthOf(counterpart)) as Mapping["start"];
	const vvar: Mapping = { ...counterpart, start, end: vdso.start };
	if (mappings.some((mapping) => overlaps(mapping, vvar))) return [...mappings];
	return [...mappings, vvar].sort(byStart);
}

/** Bytes of private mappings. Shared files hold their own; shared objects carry theirs; vvar and vsyscall have none. */
function contentsOf(
	contents: readonly Placed<Address>[],
	mappings: readonly Mapping[],
	report: (finding: Finding) => void,
): Placed<Address>[] {
	const kept = contents.filter((content) => {
		const mapping = rangeAt(mappings, content.start);
		if (mapping === undefined || mapping.shared) return false;
		return mapping.backing.kind === "anonymous" || mapping.backing.kind === "file" || mapping.backing.kind === "vdso";
	});
	for (const mapping of mappings)
		if (mapping.shared && mapping.backing.kind === "file")
			report(
				note(
					"shared-contents",
					`mapping ${hex(mapping.start)}`,
					`shared with ${mapping.backing.path}: shows what the file holds now`,
				),
			);
	const broken = kept.find(({ start, length }) => !isPageAligned(start) || length % PAGE_SIZE !== 0n);
	if (broken !== undefined) report(loss("contents-lost", `mapping ${hex(broken.start)}`, "not page aligned"));
	return kept;
}

/** The donor's; without one the dead process's own, unless that had lost its name. */
function executableOf({ memory }: PartialTask, donor: Memory | undefined): string {
	if (donor !== undefined) return donor.executable;
	return linkedPaths(memory.mappings).has(memory.executable) ? memory.executable : "";
}

function filesOf(mappings: readonly Mapping[], donor: Memory | undefined, dead: PartialTask): Map<string, MappedFile> {
	const files = new Map<string, MappedFile>();
	const paths = [
		executableOf(dead, donor),
		...mappings.flatMap(({ backing }) => (backing.kind === "file" ? [backing.path] : [])),
	];
	for (const path of paths) {
		if (path === "") continue;
		files.set(path, mappedFileOf(path, dead.memory.buildIds.get(path), donor?.files.get(path)));
	}
	return files;
}
