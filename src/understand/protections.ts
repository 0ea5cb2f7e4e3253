import { address, hex, plus } from "../bytes/address.ts";
import { contains, firstEndingAbove, lengthOf, type Range, rangeAt } from "../bytes/range.ts";
import { caution, type Finding, note } from "../finding.ts";
import type { PartialMapping, PartialTask } from "../forest/partial-task.ts";
import type { Mapping, Memory } from "../forest/task.ts";
import { PROT_EXEC, PROT_READ, PROT_WRITE, protText } from "../linux/mman.ts";
import { isStackGuard, shownByGdb } from "./donor/protection.ts";
import type { Evidence } from "./evidence/evidence.ts";

/** Whose word the protection of a mapping is, where its core has none, or one that is not to be believed. */
type Reason = "runs" | "records" | "neighbours" | "shared" | "files" | "unknown";

interface Protection {
	readonly prot: number;
	/** What has to be said of it. */
	readonly why?: Reason;
}

/**
 * The protections of a dead process's mappings. The kernel's cores tell them. gdb's show every segment readable, and have no segment
 * for what a file still has as it was mapped. Believed in this order: what libc's records say nothing may access, what the
 * core shows, the donor's mapping of the same place or file, the headers of the object, a thread that runs in it, other mappings
 * of the same file, and what most are.
 */
export function understandProtections(
	dead: PartialTask,
	evidence: Pick<Evidence, "linked" | "noAccess" | "stacks">,
	donor: Memory | undefined,
	counterpartOf: (mapping: PartialMapping) => Mapping | undefined,
	report: (finding: Finding) => void,
): (mapping: PartialMapping) => number {
	const runs = new Set(dead.threads.map(({ registers }) => rangeAt(dead.memory.mappings, address(registers.ip))));
	const found = new Map(
		dead.memory.mappings.map((mapping) => [
			mapping,
			protectionOf(mapping, { dead, evidence, donor, runs, counterpart: counterpartOf(mapping) }),
		]),
	);
	tell(found, report);
	return (mapping) => found.get(mapping)?.prot ?? PROT_READ;
}

interface Known {
	readonly dead: PartialTask;
	readonly evidence: Pick<Evidence, "linked" | "noAccess" | "stacks">;
	readonly donor: Memory | undefined;
	readonly counterpart: Mapping | undefined;
	/** Where its threads run. */
	readonly runs: ReadonlySet<PartialMapping | undefined>;
}

function protectionOf(mapping: PartialMapping, known: Known): Protection {
	const { dead, evidence, donor, counterpart, runs } = known;
	const { prot, file } = mapping;
	if (mapping.kernel !== undefined) return { prot: counterpart?.prot ?? prot ?? PROT_READ };
	if (dead.writer === "kernel" && prot !== undefined) return { prot };
	if (evidence.noAccess.has(mapping.start)) return { prot: 0, why: "records" };
	if (counterpart !== undefined && (prot === undefined || prot === shownByGdb(counterpart.prot)))
		return { prot: counterpart.prot };
	if (prot !== undefined && (prot !== PROT_READ || file !== undefined)) return { prot };
	if (file === undefined) return isGuard(mapping, known) ? { prot: 0 } : { prot: PROT_READ, why: "unknown" };
	const lent = donor === undefined ? undefined : protectionInFile(mapping, donor);
	const linked = rangeAt(evidence.linked.memory.mappings, mapping.start)?.prot;
	if (lent !== undefined || linked !== undefined) return { prot: lent ?? linked ?? PROT_READ };
	if (runs.has(mapping)) return { prot: PROT_READ | PROT_EXEC, why: "runs" };
	if (isCode(mapping, dead)) return { prot: PROT_READ | PROT_EXEC, why: "neighbours" };
	if (file.path.startsWith(SHARED)) return { prot: PROT_READ | PROT_WRITE, why: "shared" };
	return { prot: PROT_READ, why: "files" };
}

/** What lies there is there to be written to, by several; private mappings of it are rare. */
const SHARED = "/dev/shm/";

/** The protection that a donor's mappings have that show the same part of a file, if they have one. */
function protectionInFile({ file, start, end }: PartialMapping, { mappings }: Memory): number | undefined {
	if (file === undefined) return undefined;
	const until = file.offset + lengthOf({ start, end });
	const found = new Set(
		mappings.flatMap(({ backing, prot, ...range }) =>
			backing.kind === "file" &&
			backing.path === file.path &&
			backing.offset < until &&
			file.offset < backing.offset + lengthOf(range)
				? [prot]
				: [],
		),
	);
	const [only] = found;
	return found.size === 1 ? only : undefined;
}

/**
 * Whether other mappings of its file can be executed. It cannot be written to: what touches it of the same file has another
 * protection, else they were one mapping, and what was written to would be in the core. SBCL maps its image so, piece by piece.
 */
const isCode = ({ file }: PartialMapping, { memory }: PartialTask): boolean =>
	memory.mappings.some((other) => other.file?.path === file?.path && ((other.prot ?? 0) & PROT_EXEC) !== 0);

/** Readable memory below memory that can be written to: as the donor has guards, or where a thread's stack is above. */
function isGuard(mapping: PartialMapping, { dead, donor, evidence }: Known): boolean {
	const { mappings } = dead.memory;
	const above = mappings[firstEndingAbove(mappings, mapping.end)];
	if (above === undefined || above.start !== mapping.end || ((above.prot ?? 0) & PROT_WRITE) === 0) return false;
	if (donor !== undefined) return isStackGuard(mapping, above, donor);
	// libc knows of its own guards, and where a stack has none that it made, or none at all
	const recorded = evidence.stacks.find(({ start, size }) => isWithin(above, { start, end: plus(start, size) }));
	if (recorded !== undefined)
		return isWithin(mapping, { start: recorded.start, end: plus(recorded.start, recorded.size) });
	return dead.threads.some(({ registers }) => contains(above, address(registers.sp)));
}

const isWithin = ({ start, end }: Range, outer: Range): boolean =>
	start < outer.end && end > outer.start && start >= outer.start;

/** One finding for all of a kind. */
function tell(found: ReadonlyMap<PartialMapping, Protection>, report: (finding: Finding) => void): void {
	const groups = new Map<string, PartialMapping[]>();
	for (const [mapping, { prot, why }] of found) {
		if (why === undefined) continue;
		const key =
			why === "neighbours" || why === "shared"
				? `${why} ${prot} ${mapping.file?.path}`
				: why === "unknown"
					? `${why} ${prot} ${mapping.start}`
					: `${why} ${prot}`;
		groups.set(key, [...(groups.get(key) ?? []), mapping]);
	}
	for (const members of groups.values()) {
		const [first] = members;
		const protection = first === undefined ? undefined : found.get(first);
		if (first === undefined || protection?.why === undefined) continue;
		const subject =
			members.length === 1 ? `mapping ${hex(first.start)}` : `${members.length} mappings from ${hex(first.start)} on`;
		report(findingOf(protection.why, subject, protText(protection.prot), first.file?.path ?? ""));
	}
}

function findingOf(why: Reason, subject: string, prot: string, path: string): Finding {
	switch (why) {
		case "records":
			return note(
				"protection",
				subject,
				"nothing may access it, though gdb's cores show it as readable: a guard of a stack, or what an arena of malloc has in reserve, as libc's records have it",
			);
		case "runs":
			return note(
				"protection",
				subject,
				`gdb's cores leave out what a file (${path}) has as it was mapped; it is ${prot}, as a thread runs in it`,
			);
		case "neighbours":
			return caution(
				"protection",
				subject,
				`gdb's cores leave out what a file (${path}) has as it was mapped; ${prot} is assumed, as other parts of it can be executed`,
			);
		case "shared":
			return caution(
				"protection",
				subject,
				`gdb's cores leave out what a file (${path}) has as it was mapped; ${prot} is assumed, as that is there to be shared`,
			);
		case "files":
			return caution(
				"protection",
				subject,
				`gdb's cores leave out what a file (${path}) has as it was mapped; ${prot} is assumed`,
			);
		case "unknown":
			return caution("protection", subject, `gdb's cores do not tell its protection; ${prot} is assumed`);
	}
}
