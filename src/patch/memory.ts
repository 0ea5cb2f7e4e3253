import { fileOffset } from "../bytes/address.ts";
import { rangeAt } from "../bytes/range.ts";
import type { MmEntry, VmaEntry } from "../criu/generated/schema.ts";
import type { PageRun } from "../criu/pages.ts";
import { AUXV_WORDS, PE, VMA } from "../criu/vma.ts";
import { auxvName, trimAuxv } from "../linux/auxv.ts";
import { MAP } from "../linux/mman.ts";
import { O } from "../linux/open.ts";
import { caution, type Finding } from "../task/finding.ts";
import type { Content, Mapping, Memory } from "../task/task.ts";
import type { Binary } from "./binaries.ts";
import type { FileTable } from "./files.ts";
import type { ObjectImages } from "./objects.ts";

/** The mm image: bounds, auxiliary vector and every VMA of the dead process. */
export function patchMm(
	memory: Memory,
	donor: MmEntry,
	files: FileTable,
	objects: ObjectImages,
	report: (finding: Finding) => void,
): MmEntry {
	const { bounds } = memory;
	const auxv = trimAuxv(memory.auxv, AUXV_WORDS);
	if (auxv.dropped.length > 0)
		report(
			caution(
				"auxv-trimmed",
				"auxiliary vector",
				`${auxv.dropped.map(({ type }) => auxvName(type)).join(", ")} left out of /proc/PID/auxv`,
			),
		);
	return {
		...donor,
		mm_start_code: bounds.startCode,
		mm_end_code: bounds.endCode,
		mm_start_data: bounds.startData,
		mm_end_data: bounds.endData,
		mm_start_stack: bounds.startStack,
		mm_start_brk: bounds.startBrk,
		mm_brk: bounds.brk,
		mm_arg_start: bounds.argStart,
		mm_arg_end: bounds.argEnd,
		mm_env_start: bounds.envStart,
		mm_env_end: bounds.envEnd,
		exe_file_id: files.mapped(memory.executable),
		mm_saved_auxv: auxv.kept.flatMap(({ type, value }) => [BigInt(type), value]),
		vmas: memory.mappings.map((mapping) => vmaEntry(mapping, files, objects)),
		// rings of asynchronous I/O live in the kernel; a core has none
		aios: [],
	};
}

function vmaEntry(mapping: Mapping, files: FileTable, objects: ObjectImages): VmaEntry {
	const { start, end, prot, advice, shared } = mapping;
	const sharing = shared ? MAP.SHARED : MAP.PRIVATE;
	const entry = { start, end, prot, pgoff: 0n, shmid: 0n, fd: -1n, ...(advice === 0n ? {} : { madv: advice }) };
	const anonymous = { ...entry, flags: sharing | MAP.ANONYMOUS | mapping.flags };
	const { backing } = mapping;
	switch (backing.kind) {
		case "anonymous":
			return { ...anonymous, status: VMA.REGULAR | VMA.ANON_PRIVATE | (backing.role === "heap" ? VMA.HEAP : 0) };
		case "file":
			return {
				...entry,
				pgoff: backing.offset,
				shmid: BigInt(files.mapped(backing.path)),
				flags: sharing | mapping.flags,
				status: VMA.REGULAR | (shared ? VMA.FILE_SHARED : VMA.FILE_PRIVATE),
				fdflags: backing.writable ? O.RDWR : O.RDONLY,
			};
		case "object": {
			const { shmid, memfd } = objects.imageOf(backing.object);
			if (!memfd) return { ...anonymous, pgoff: backing.offset, shmid, status: VMA.REGULAR | VMA.ANON_SHARED };
			return {
				...entry,
				pgoff: backing.offset,
				shmid,
				flags: sharing | mapping.flags,
				status: VMA.REGULAR | VMA.MEMFD | (shared ? VMA.FILE_SHARED : VMA.FILE_PRIVATE),
				fdflags: O.RDWR,
			};
		}
		case "vdso":
			return { ...anonymous, status: VMA.REGULAR | VMA.ANON_PRIVATE | VMA.VDSO };
		case "vvar":
			return { ...anonymous, status: VMA.REGULAR | VMA.ANON_PRIVATE | VMA.VVAR };
		case "vsyscall":
			return { ...anonymous, status: VMA.ANON_PRIVATE | VMA.VSYSCALL };
		default:
			throw new Error(`a core yields no ${backing.kind} mapping`);
	}
}

/** The bytes of private memory, each with what the mapping would show without them. */
export const pageRuns = (memory: Memory, binaries: ReadonlyMap<string, Binary>): PageRun[] =>
	memory.contents.map((content) => ({
		...content,
		baseline: baselineOf(content, memory.mappings, binaries),
		flags: PE.PRESENT,
	}));

function baselineOf(
	content: Content,
	mappings: readonly Mapping[],
	binaries: ReadonlyMap<string, Binary>,
): PageRun["baseline"] {
	const mapping = rangeAt(mappings, content.start);
	if (mapping?.backing.kind === "anonymous") return "zero";
	if (mapping?.backing.kind !== "file") return "nothing";
	const binary = binaries.get(mapping.backing.path);
	if (binary?.proven !== true || binary.here === undefined) return "nothing";
	return { source: binary.here.source, offset: fileOffset(mapping.backing.offset + (content.start - mapping.start)) };
}
