import { type Address, hex } from "../bytes/address.ts";
import { byStart, gaps, overlaps, type Range, rangeAt, united } from "../bytes/range.ts";
import { type Finding, loss } from "../finding.ts";
import type { Mapping, Task } from "../forest/task.ts";
import { protText } from "../linux/mman.ts";
import type { FilePolicy } from "../plan/files/files.ts";
import type { Plan } from "../plan/plan.ts";
import { descriptorsOf } from "../proc/fdinfo.ts";
import { ifShown } from "../proc/if-shown.ts";
import { type MapsEntry, readMaps } from "../proc/maps.ts";
import { readComm, readOomScoreAdjust } from "../proc/single-values.ts";
import { threadsOf } from "../proc/tasks.ts";
import { descriptorDifferences } from "./verify-files.ts";
import { otherInodes } from "./verify-sharing.ts";

/**
 * Compares a waiting process with its task through /proc: mappings, fds, memory shared between them, name. Returns the differences in words; none when it is as planned.
 *
 * @param plan which mappings are views of the core (--lazy), and which memory and fd are ours.
 */
export function verify(
	pid: number,
	task: Task,
	{ views, hole, reportFd }: Pick<Plan, "views" | "hole" | "reportFd">,
	policy: Pick<FilePolicy, "fds" | "byCaller"> = { fds: new Map() },
): string[] {
	const differences: string[] = [];
	try {
		const living = { pid, tid: livingThreadOf(pid, task) };
		const maps = readMaps(living);
		compareMappings(maps, task, views, hole, differences);
		differences.push(...descriptorDifferences(pid, task, policy));
		differences.push(...otherInodes(living, task, maps, policy.fds));
		const fds = descriptorsOf(living);
		const numbers = task.files.descriptors.map(({ number }) => number);
		const expected = new Set([...numbers, ...policy.fds.keys(), reportFd]);
		for (const fd of fds) if (!expected.delete(fd)) differences.push(`descriptor ${fd} is open, expected it closed`);
		for (const fd of expected) differences.push(`descriptor ${fd} is closed, expected it open`);
		const comm = readComm(pid);
		if (comm !== task.identity.comm) differences.push(`it is called ${comm}, expected ${task.identity.comm}`);
	} catch (error) {
		differences.push(`it is gone (${error instanceof Error ? error.message : String(error)})`);
	}
	return differences;
}

/** What is left of the blob and of our fds in a process that is about to be released, and threads that are missing, in words. */
export function leftovers(pid: number, task: Task, { hole, reportFd }: Pick<Plan, "hole" | "reportFd">): string[] {
	const differences: string[] = [];
	try {
		const living = { pid, tid: livingThreadOf(pid, task) };
		if (readMaps(living).some((entry) => overlaps(entry, hole)))
			differences.push(`memory of ours is at ${hex(hole.start)}, expected it to be gone`);
		const tids = threadsOf(pid).length;
		if (tids !== task.threads.length) differences.push(`it has ${tids} threads, expected ${task.threads.length}`);
		if (descriptorsOf(living).includes(reportFd))
			differences.push(`descriptor ${reportFd} is open, expected it closed`);
	} catch (error) {
		differences.push(`it is gone (${error instanceof Error ? error.message : String(error)})`);
	}
	return differences;
}

/** The leader's tid; another thread's where the leader is a zombie: /proc shows no memory and no files of a zombie. */
export function livingThreadOf(pid: number, { threads: [leader] }: Task): number {
	if (leader?.ended !== true) return pid;
	return threadsOf(pid).find((tid) => tid !== pid) ?? pid;
}

/** A range with one protection and one kind of backing, neighbours of a kind joined: the kernel merges and splits at will. */
interface MappedRun {
	readonly start: Address;
	end: Address;
	readonly look: string;
}

function compareMappings(
	maps: readonly MapsEntry[],
	task: Task,
	views: readonly Range[],
	hole: Range,
	differences: string[],
): void {
	// images of another kernel keep their vdso's place as plain memory and get this kernel's elsewhere
	const kernels = task.memory.mappings.filter(({ backing }) => backing.kind === "vdso" || backing.kind === "vvar");
	const isPrograms = ({ start, end, look }: MappedRun): boolean =>
		start < 1n << 63n &&
		!overlaps({ start, end }, hole) &&
		!/ \[v(?:dso|var)\]$/.test(look) &&
		!kernels.some((range) => overlaps(range, { start, end }));
	const shown = united(views);
	const actual = joined(maps.map((entry) => stretchOfEntry(entry, shown)).filter(isPrograms));
	const mappings = task.memory.mappings.filter(({ backing }) => backing.kind !== "guard");
	const planned = joined(mappings.flatMap((mapping) => stretchesOfMapping(mapping, shown)).filter(isPrograms));
	const present = new Map(actual.map((stretch) => [key(stretch), stretch]));
	for (const stretch of planned)
		if (!present.delete(key(stretch))) differences.push(`${key(stretch)} is not mapped as planned`);
	for (const stretch of present.values()) differences.push(`${key(stretch)} is mapped, and was not planned`);
}

const key = ({ start, end, look }: MappedRun): string => `${hex(start)}-${hex(end)} ${look}`;

/** A view's file is not compared: maps may show another name than the one it was opened by. */
const VIEW = "[view of a file]";

function stretchOfEntry({ start, end, prot, shared, name }: MapsEntry, views: readonly Range[]): MappedRun {
	const view = name.startsWith("/") ? rangeAt(views, start) : undefined;
	return {
		start,
		end,
		look: `${permsText(prot, shared)} ${view !== undefined && end <= view.end ? VIEW : lookOfName(name)}`,
	};
}

const lookOfName = (name: string): string => {
	if (/^\[(?:heap|stack|anon:.*)\]$/.test(name)) return "";
	if (/^\[vvar/.test(name)) return "[vvar]";
	// shared memory without a file: the name is the kernel's affair
	return /^\/(?:memfd:|dev\/zero \(deleted\)|SYSV)/.test(name) ? "[shared]" : name.startsWith("/") ? FILE : name;
};

/** Which file it is was decided when it was opened: its name is anybody's since, and may be gone. */
const FILE = "[file]";

const permsText = (prot: number, shared: boolean): string => `${protText(prot)}${shared ? "s" : "p"}`;

function stretchesOfMapping(mapping: Mapping, views: readonly Range[]): MappedRun[] {
	const { prot, shared, backing } = mapping;
	const perms = permsText(prot, shared);
	const look =
		backing.kind === "file"
			? FILE
			: backing.kind === "object" || backing.kind === "sysv"
				? "[shared]"
				: backing.kind === "anonymous"
					? ""
					: `[${backing.kind}]`;
	const own = gaps(mapping, views).map((gap) => ({ ...gap, look: `${perms} ${look}` }));
	const shown = gaps(mapping, own).map((part) => ({ ...part, look: `${perms} ${VIEW}` }));
	return [...own, ...shown].sort(byStart);
}

function joined(stretches: readonly MappedRun[]): MappedRun[] {
	const out: MappedRun[] = [];
	for (const stretch of stretches) {
		const last = out.at(-1);
		if (last !== undefined && last.end === stretch.start && last.look === stretch.look) last.end = stretch.end;
		else out.push({ ...stretch });
	}
	return out;
}

/** A loss when oom_score_adj could not be lowered; the process runs all the same. */
export function verifyOomScore(pid: number, { identity: { oomScoreAdjust } }: Task): Finding[] {
	if (oomScoreAdjust === undefined) return [];
	// where it is not shown, it has ended by itself already
	const actual = ifShown(() => readOomScoreAdjust(pid));
	if (actual === undefined || actual === oomScoreAdjust) return [];
	return [loss("limits", "oom_score_adj", `was ${oomScoreAdjust}, is ${actual}: to lower it takes CAP_SYS_RESOURCE`)];
}
