import type { BigIntStats } from "node:fs";
import type { Agent } from "../agent/agent.ts";
import { hex } from "../bytes/address.ts";
import { defined } from "../bytes/defined.ts";
import { byStart } from "../bytes/range.ts";
import { caution, type Finding, loss, note } from "../finding.ts";
import type { Bounds, Memory } from "../forest/task.ts";
import { readAuxv } from "../linux/auxv.ts";
import { PROT_WRITE } from "../linux/mman.ts";
import { withoutDeleted } from "../proc/deleted.ts";
import { ifShown } from "../proc/if-shown.ts";
import { isLinkWritable, mapLink, pathOfLink, readLink, statLink } from "../proc/links.ts";
import { readAuxvBytes } from "../proc/single-values.ts";
import { readSmaps, type SmapsEntry } from "../proc/smaps.ts";
import type { ProcStat } from "../proc/stat.ts";
import { pagesByPagemap, scanPages } from "../trace/page-scan.ts";
import type { ProcessMemory } from "../trace/process-memory.ts";
import { touchedOf } from "./contents.ts";
import type { LiveGhosts } from "./ghosts.ts";
import { mappedFiles } from "./mapped-files.ts";
import { type Behind, type Classified, classify, isSystemV } from "./mappings.ts";
import { withPolicies } from "./memory-policies.ts";
import type { ObjectsOfProcess } from "./objects.ts";
import { otherName } from "./other-name.ts";
import type { Answers } from "./parasite-queries.ts";

/** A stopped process whose memory is looked at. */
export interface Subject {
	readonly pid: number;
	readonly stat: ProcStat;
	readonly answers: Answers;
	readonly memory: ProcessMemory;
	readonly objects: ObjectsOfProcess;
	readonly ghosts: LiveGhosts;
	/** Its IPC namespace is dumped with it. */
	readonly ownIpc: boolean;
	/** Without its pages, it is a donor. */
	readonly pages: boolean;
	readonly report: (finding: Finding) => void;
}

/**
 * folklore: smaps shows a file called `a\012b` and one with a newline in its name alike (Linux 6.18, fs/proc/task_mmu.c). The
 * map_files link tells them apart, where it may be read.
 */
function certain(pid: number, entry: SmapsEntry): SmapsEntry {
	if (!entry.name.includes("\n")) return entry;
	const name = ifShown(() => readLink(pid, mapLink(entry)));
	return name === undefined ? entry : { ...entry, name };
}

/** All but what descriptors may know more of. */
export type PrivateMemory = Omit<Memory, "objects" | "ghosts">;

/**
 * The address space of a stopped process. Its bytes stay where they are: contents refer to /proc/PID/mem.
 *
 * @throws NecromancerError ERR_UNSUPPORTED, ERR_IO, ERR_HOST.
 */
export async function memoryOf(agent: Agent, subject: Subject): Promise<PrivateMemory> {
	const { pid, stat, answers, memory, objects, ghosts, ownIpc, pages, report } = subject;
	const { path: executable, ghost: executableGhost } = executableOf(pid, ghosts);
	const bounds: Bounds = { ...stat.bounds, brk: answers.brk };
	// both walk all pages: run them at the same time
	const scanned = pages ? scanPages(agent, pid) : undefined;
	scanned?.catch(() => undefined);
	const entries = readSmaps(pid).map((entry) => certain(pid, entry));
	for (const finding of memoryLosses(entries)) report(finding);
	const classified = withWholeFiles(pid, classify(entries, bounds, behindOf(pid, objects, ghosts, ownIpc)), report);
	const looked = pages || entries.some(({ flags }) => flags.has("gu"));
	const ranges = entries.filter(({ touched }) => touched > 0n);
	const { contents, guards } = touchedOf(
		classified,
		looked ? ((await (scanned ?? scanPages(agent, pid))) ?? pagesByPagemap(pid, ranges)) : [],
		memory.source,
	);
	return {
		mappings: [
			...withPolicies(
				pid,
				classified.map(({ mapping }) => mapping),
				answers.threads.get(pid)?.attributes["memory-policy"],
			),
			...guards,
		].sort(byStart),
		contents: pages ? contents : [],
		bounds,
		executable,
		...defined({ executableGhost }),
		files: mappedFiles([
			...(executableGhost === undefined ? [{ path: executable, link: pathOfLink(pid, "exe") }] : []),
			...classified.flatMap(({ entry, mapping: { backing } }) =>
				backing.kind === "file" && backing.ghost === undefined
					? [{ path: backing.path, link: pathOfLink(pid, mapLink(entry)) }]
					: [],
			),
		]),
		auxv: readAuxv(readAuxvBytes(pid)),
		dumpable: answers.dumpable,
		...(answers.hugePagesDisabled ? { hugePagesDisabled: true } : {}),
	};
}

/** The file it runs from; where that was deleted or replaced, as a file without a name. */
function executableOf(pid: number, ghosts: LiveGhosts): { readonly path: string; readonly ghost?: number | undefined } {
	const link = readLink(pid, "exe");
	const { path, deleted } = withoutDeleted(link);
	if (!deleted) return { path };
	return { path, ghost: ghosts.of(pid, "exe", path, false) };
}

const behindOf = (pid: number, objects: ObjectsOfProcess, ghosts: LiveGhosts, segments: boolean): Behind => ({
	segments,
	objectOf: objects.ofMapping,
	isWritable: (entry) => isWritable(pid, entry),
	ghostOf: (entry, path) => ghosts.of(pid, mapLink(entry), path, entry.shared),
	otherNameOf: (entry, path) => {
		const look = lookAt(pid, entry);
		return look === undefined ? undefined : otherName(path, look);
	},
});

/** Reports mappings whose file is gone, and cuts them at the end of that file: pages beyond it fault. */
function withWholeFiles(
	pid: number,
	classified: readonly Classified[],
	report: (finding: Finding) => void,
): readonly Classified[] {
	for (const { entry, mapping, orphan } of classified) {
		const name = `mapping ${hex(entry.start)}`;
		if (mapping.backing.kind === "object" && isSystemV(entry.name))
			report(
				loss(
					"replaced",
					name,
					`was System V segment ${entry.inode} of our IPC namespace, which stays as it is; it comes back as a copy without an id`,
				),
			);
		if (orphan === undefined) continue;
		const what = mapping.shared ? "shared memory" : "memory of its own";
		report(
			caution("file-gone", name, `shows ${orphan}, which was deleted; it comes back as ${what} with the same bytes`),
		);
	}
	return classified.map((one) => {
		if (one.orphan === undefined || one.mapping.shared) return one;
		const size = lookAt(pid, one.entry)?.size;
		return size === undefined ? one : { ...one, fileEnd: size - one.entry.offset };
	});
}

const isWritable = (pid: number, entry: SmapsEntry): boolean =>
	ifShown(() => isLinkWritable(pid, mapLink(entry))) ?? (entry.prot & PROT_WRITE) !== 0;

const lookAt = (pid: number, entry: SmapsEntry): BigIntStats | undefined =>
	ifShown(() => statLink(pid, mapLink(entry)));

/** Losses of mappings (protection keys, names): one finding a kind, which names the first mapping. */
export function memoryLosses(entries: readonly SmapsEntry[]): readonly Finding[] {
	const told = (found: readonly SmapsEntry[], finding: typeof loss, text: string): readonly Finding[] => {
		const [first, ...others] = found;
		if (first === undefined) return [];
		const more = others.length === 0 ? "" : ` and ${others.length} more`;
		return [finding("attribute", `mapping ${hex(first.start)}${more}`, text)];
	};
	return [
		...told(
			entries.filter(({ protectionKey }) => protectionKey !== 0),
			loss,
			"had protection keys (pkeys(7)); whoever may run in the process may read and write there as the protection says",
		),
		...told(
			entries.filter(({ name }) => /^\[anon(?:_shmem)?:/.test(name)),
			note,
			"had names (PR_SET_VMA_ANON_NAME), which only /proc/PID/maps shows",
		),
	];
}
