import { existsSync, readdirSync, readFileSync, readlinkSync, statSync } from "node:fs";
import { type Address, address, hex } from "../bytes/address.ts";
import { byStart, gaps, overlaps, type Range, rangeAt } from "../bytes/range.ts";
import { textFromBytes } from "../bytes/text.ts";
import { PROT_EXEC, PROT_READ, PROT_WRITE } from "../linux/mman.ts";
import type { FilePolicy } from "../plan/files/files.ts";
import type { Plan } from "../plan/plan.ts";
import type { Mapping, Task } from "../task/task.ts";
import type { Seen } from "./sight.ts";
import { otherInodes } from "./verify-sharing.ts";
import { otherFiles } from "./what-it-is.ts";

/** What a process got, where it is not the task's own. */
export interface MadeProcess {
	readonly policy?: Pick<FilePolicy, "fds" | "byCaller">;
	/** The files that were found right, by path. */
	readonly judged?: ReadonlyMap<string, Seen>;
}

/**
 * Holds a process that is made, but not its user's yet, against its task, through /proc: mappings, descriptors and what they
 * share with mappings, which files all of them are, its directories, its name. What differs, in words; nothing when it is as
 * planned.
 *
 * @param plan where memory shows a file which is not its own, and what of it is ours.
 */
export function verify(
	pid: number,
	task: Task,
	{ views, hole, reportFd }: Pick<Plan, "views" | "hole" | "reportFd">,
	{ policy = { fds: new Map() }, judged = new Map() }: MadeProcess = {},
): string[] {
	const differences: string[] = [];
	const place = livingPlace(pid, task);
	const proc = (name: string): string => textFromBytes(readFileSync(`${place}/${name}`));
	try {
		const maps = proc("maps");
		compareMappings(maps, task, views, hole, differences);
		differences.push(...otherFiles(pid, task, maps, policy, judged));
		differences.push(...otherInodes(place, task, maps, policy.fds));
		const fds = readdirSync(`${place}/fd`).map(Number);
		const numbers = task.files.descriptors.map(({ number }) => number);
		const expected = new Set([...numbers, ...policy.fds.keys(), reportFd]);
		for (const fd of fds) if (!expected.delete(fd)) differences.push(`descriptor ${fd} is open, expected it closed`);
		for (const fd of expected) differences.push(`descriptor ${fd} is closed, expected it open`);
		const comm = textFromBytes(readFileSync(`/proc/${pid}/comm`)).replace(/\n$/, "");
		if (comm !== task.identity.comm) differences.push(`it is called ${comm}, expected ${task.identity.comm}`);
		const { executable } = task.memory;
		const right = judged.get(executable);
		if (right === undefined || task.memory.executableGhost !== undefined) return differences;
		const { dev, ino } = statSync(`/proc/${pid}/exe`, { bigint: true });
		// without the right to name it, /proc/PID/exe leads to our own
		const named = textFromBytes(readlinkSync(`/proc/${pid}/exe`, "buffer"));
		if (named === executable && (dev !== right.device || ino !== right.inode))
			differences.push(`its executable is not ${executable} as it was found`);
	} catch (error) {
		differences.push(`it is gone (${error instanceof Error ? error.message : String(error)})`);
	}
	return differences;
}

/** What of ours is still in a process that is about to live, or of its own is not, in words. */
export function leftovers(pid: number, task: Task, { hole, reportFd }: Pick<Plan, "hole" | "reportFd">): string[] {
	const differences: string[] = [];
	const place = livingPlace(pid, task);
	try {
		const lines = readFileSync(`${place}/maps`, "latin1").split("\n").filter(Boolean);
		if (lines.some((line) => overlaps(stretchOfLine(line, []), hole)))
			differences.push(`memory of ours is at ${hex(hole.start)}, expected it to be gone`);
		const tids = readdirSync(`/proc/${pid}/task`).length;
		if (tids !== task.threads.length) differences.push(`it has ${tids} threads, expected ${task.threads.length}`);
		if (existsSync(`${place}/fd/${reportFd}`)) differences.push(`descriptor ${reportFd} is open, expected it closed`);
	} catch (error) {
		differences.push(`it is gone (${error instanceof Error ? error.message : String(error)})`);
	}
	return differences;
}

/** Where /proc shows what all threads have in common: a leader that has ended has none of it any more. */
function livingPlace(pid: number, task: Task): string {
	const tid = livingThreadOf(pid, task);
	return tid === pid ? `/proc/${pid}` : `/proc/${pid}/task/${tid}`;
}

/** The leader's id, or another thread's where that has ended. */
export function livingThreadOf(pid: number, { threads: [leader] }: Task): number {
	if (leader?.ended !== true) return pid;
	return Number(readdirSync(`/proc/${pid}/task`).find((name) => name !== `${pid}`) ?? pid);
}

/** A range with one protection and one kind of backing, neighbours of a kind joined: the kernel merges and splits at will. */
interface MappedRun {
	readonly start: Address;
	end: Address;
	readonly look: string;
}

function compareMappings(maps: string, task: Task, views: readonly Range[], hole: Range, differences: string[]): void {
	// images of another kernel keep their vdso's place as plain memory and get this kernel's elsewhere
	const kernels = task.memory.mappings.filter(({ backing }) => backing.kind === "vdso" || backing.kind === "vvar");
	const isPrograms = ({ start, end, look }: MappedRun): boolean =>
		start < 1n << 63n &&
		!overlaps({ start, end }, hole) &&
		!/ \[v(?:dso|var)\]$/.test(look) &&
		!kernels.some((range) => overlaps(range, { start, end }));
	const shown = united(views);
	const lines = maps.split("\n").filter(Boolean);
	const actual = joined(lines.map((line) => stretchOfLine(line, shown)).filter(isPrograms));
	const mappings = task.memory.mappings.filter(({ backing }) => backing.kind !== "guard");
	const planned = joined(mappings.flatMap((mapping) => stretchesOfMapping(mapping, shown)).filter(isPrograms));
	const present = new Map(actual.map((stretch) => [key(stretch), stretch]));
	for (const stretch of planned)
		if (!present.delete(key(stretch))) differences.push(`${key(stretch)} is not mapped as planned`);
	for (const stretch of present.values()) differences.push(`${key(stretch)} is mapped, and was not planned`);
}

const key = ({ start, end, look }: MappedRun): string => `${hex(start)}-${hex(end)} ${look}`;

/** Neighbours made one: so may the kernel's mappings of them be. */
function united(views: readonly Range[]): readonly Range[] {
	const out: { readonly start: Address; end: Address }[] = [];
	for (const { start, end } of views) {
		const last = out.at(-1);
		if (last?.end === start) last.end = end;
		else out.push({ start, end });
	}
	return out;
}

/** Which file a view is of is not looked at: the kernel's name for it need not be the one it was opened by. */
const VIEW = "[view of a file]";

function stretchOfLine(line: string, views: readonly Range[]): MappedRun {
	const [, from = "0", to = "0", perms = "", name = ""] =
		/^([0-9a-f]+)-([0-9a-f]+) (\S+) \S+ \S+ \S+\s*(.*)$/.exec(line) ?? [];
	const [start, end] = [address(BigInt(`0x${from}`)), address(BigInt(`0x${to}`))];
	const view = name.startsWith("/") ? rangeAt(views, start) : undefined;
	return { start, end, look: `${perms} ${view !== undefined && end <= view.end ? VIEW : lookOfName(name)}` };
}

const lookOfName = (name: string): string => {
	if (/^\[(?:heap|stack|anon:.*)\]$/.test(name)) return "";
	if (/^\[vvar/.test(name)) return "[vvar]";
	// shared memory without a file: the name is the kernel's affair
	return /^\/(?:memfd:|dev\/zero \(deleted\)|SYSV)/.test(name) ? "[shared]" : lookOfPath(name);
};

/** The one character that maps does not show as it is (fs/proc/task_mmu.c, show_map_vma); `a\\012b` itself it does. */
const asInMaps = (path: string): string => path.replaceAll("\n", "\\012");

/** What has no name has a number instead: `/tmp/#1234 (deleted)`. */
const lookOfPath = (path: string): string => (path.endsWith(" (deleted)") ? "[deleted]" : path);

function stretchesOfMapping(mapping: Mapping, views: readonly Range[]): MappedRun[] {
	const { prot, shared, backing } = mapping;
	const perms = `${prot & PROT_READ ? "r" : "-"}${prot & PROT_WRITE ? "w" : "-"}${prot & PROT_EXEC ? "x" : "-"}${shared ? "s" : "p"}`;
	const look =
		backing.kind === "file"
			? backing.ghost === undefined
				? lookOfPath(asInMaps(backing.path))
				: "[deleted]"
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
