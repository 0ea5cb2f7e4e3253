import { lstatSync, readlinkSync, statSync } from "node:fs";
import { hex } from "../bytes/address.ts";
import { byStart } from "../bytes/range.ts";
import { openFile } from "../bytes/source.ts";
import { bytesFromText, textFromBytes } from "../bytes/text.ts";
import { buildIdOfFile } from "../elf/build-id.ts";
import { NecromancerError, refuse } from "../errors.ts";
import type { Agent } from "../host/agent.ts";
import { touchedPages } from "../host/page-scan.ts";
import type { ProcessMemory } from "../host/process-memory.ts";
import { AT, type AuxvPair } from "../linux/auxv.ts";
import { S_IFMT, S_IFREG } from "../linux/fcntl.ts";
import { PROT_WRITE } from "../linux/mman.ts";
import type { ProcStat } from "../linux/proc-stat.ts";
import { readSmaps, type SmapsEntry } from "../linux/smaps.ts";
import { caution, type Finding } from "../task/finding.ts";
import type { Bounds, MappedFile, Mapping, Memory } from "../task/task.ts";
import { touchedOf } from "./contents.ts";
import { type Classified, classify, isSystemV } from "./mappings.ts";
import { mapLink, type ObjectTable } from "./objects.ts";
import { bytesOfProcess, linkOfProcess, withoutDeleted } from "./proc.ts";
import type { Answers } from "./questions.ts";

/** A stopped process whose memory is looked at. */
export interface Subject {
	readonly pid: number;
	readonly stat: ProcStat;
	readonly answers: Answers;
	readonly memory: ProcessMemory;
	readonly objects: ObjectTable;
	/** Without its pages, it is a donor. */
	readonly pages: boolean;
	readonly report: (finding: Finding) => void;
}

/**
 * folklore: a file may be called `a\\012b`, and smaps shows it as one with a newline in its name (6.18). The link to the file,
 * which not everybody may read, tells them apart.
 */
function certain(pid: number, entry: SmapsEntry): SmapsEntry {
	if (!entry.name.includes("\n")) return entry;
	try {
		return { ...entry, name: textFromBytes(readlinkSync(mapLink(pid, entry), "buffer")) };
	} catch {
		return entry;
	}
}

/** All but the shared objects, which descriptors may know more of. */
export type PrivateMemory = Omit<Memory, "objects">;

/**
 * The address space of a stopped process. Its bytes stay where they are: contents refer to /proc/PID/mem.
 *
 * @throws NecromancerError ERR_UNSUPPORTED, ERR_IO, ERR_HOST.
 */
export async function memoryOf(agent: Agent, subject: Subject): Promise<PrivateMemory> {
	const { pid, stat, answers, memory, objects, pages, report } = subject;
	const executable = executableOf(pid);
	const bounds: Bounds = { ...stat.bounds, brk: answers.brk };
	const entries = readSmaps(textFromBytes(bytesOfProcess(pid, "smaps"))).map((entry) => certain(pid, entry));
	const classified = withWholeFiles(
		pid,
		classify(entries, bounds, { objectOf: objects.ofMapping, isWritable: (entry) => isWritable(pid, entry) }),
		report,
	);
	const looked = pages || entries.some(({ flags }) => flags.has("gu"));
	const ranges = entries.filter(({ touched }) => touched > 0n);
	const { contents, guards } = touchedOf(
		classified,
		looked ? await touchedPages(agent, pid, ranges) : [],
		memory.source,
	);
	return {
		mappings: [...classified.map(({ mapping }) => mapping), ...guards].sort(byStart),
		contents: pages ? contents : [],
		bounds,
		executable,
		files: filesOf(
			executable,
			classified.map(({ mapping }) => mapping),
		),
		auxv: auxvOf(bytesOfProcess(pid, "auxv")),
		dumpable: answers.dumpable,
		...(answers.hugePagesDisabled ? { hugePagesDisabled: true } : {}),
	};
}

function executableOf(pid: number): string {
	const { path, deleted } = withoutDeleted(linkOfProcess(pid, "exe"));
	if (deleted)
		refuse("ERR_UNSUPPORTED", {
			subject: `process ${pid}`,
			finding: `its executable ${path} was deleted or replaced`,
			expectation: "expected the file it runs from: it cannot be restored without",
			remedy: "start it anew",
		});
	return path;
}

/** Says what becomes of mappings without a file, and leaves out what lies beyond its end: there is nothing to read. */
function withWholeFiles(
	pid: number,
	classified: readonly Classified[],
	report: (finding: Finding) => void,
): readonly Classified[] {
	for (const { entry, mapping, orphan } of classified) {
		const name = `mapping ${hex(entry.start)}`;
		if (isSystemV(entry.name))
			report(caution("replaced", name, "was System V shared memory; it comes back as shared memory without an id"));
		if (orphan === undefined) continue;
		const what = mapping.shared ? "shared memory" : "memory of its own";
		report(
			caution("file-gone", name, `shows ${orphan}, which was deleted; it comes back as ${what} with the same bytes`),
		);
	}
	return classified.map((one) => {
		if (one.orphan === undefined || one.mapping.shared) return one;
		const size = sizeAt(mapLink(pid, one.entry));
		return size === undefined ? one : { ...one, fileEnd: size - one.entry.offset };
	});
}

/** The link has the permissions with which the file was opened. */
function isWritable(pid: number, entry: SmapsEntry): boolean {
	try {
		return (lstatSync(mapLink(pid, entry)).mode & 0o200) !== 0;
	} catch {
		return (entry.prot & PROT_WRITE) !== 0;
	}
}

function sizeAt(path: string): bigint | undefined {
	try {
		return statSync(path, { bigint: true }).size;
	} catch {
		return undefined;
	}
}

/** How the mapped files look, the executable among them. */
function filesOf(executable: string, mappings: readonly Mapping[]): ReadonlyMap<string, MappedFile> {
	const files = new Map<string, MappedFile>([[executable, looksOf(executable)]]);
	for (const { backing } of mappings)
		if (backing.kind === "file" && !files.has(backing.path)) files.set(backing.path, looksOf(backing.path));
	return files;
}

function looksOf(path: string): MappedFile {
	const bytes = Buffer.from(bytesFromText(path));
	try {
		const { size, mode } = statSync(bytes, { bigint: true });
		const looks = { path, mode: Number(mode) };
		if ((Number(mode) & S_IFMT) !== S_IFREG) return looks;
		const buildId = buildIdAt(bytes, path);
		return { ...looks, size, ...(buildId === undefined ? {} : { buildId }) };
	} catch {
		return { path };
	}
}

/** What may be mapped need not be readable for us. */
function buildIdAt(bytes: Buffer, path: string): string | undefined {
	try {
		const source = openFile(bytes, path);
		try {
			return buildIdOfFile(source);
		} finally {
			source.close();
		}
	} catch (cause) {
		if (cause instanceof NecromancerError) return undefined;
		throw cause;
	}
}

function auxvOf(bytes: Buffer): AuxvPair[] {
	const pairs: AuxvPair[] = [];
	for (let at = 0; at + 16 <= bytes.length; at += 16) {
		const type = Number(bytes.readBigUInt64LE(at));
		if (type === AT.NULL) break;
		pairs.push({ type, value: bytes.readBigUInt64LE(at + 8) });
	}
	return pairs;
}
