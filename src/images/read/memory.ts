import { address, fileOffset, hex, PAGE_SIZE } from "../../bytes/address.ts";
import { defined } from "../../bytes/defined.ts";
import { byStart } from "../../bytes/range.ts";
import type { ImageDir } from "../../criu/image-dir.ts";
import { VMA } from "../../criu/vma.ts";
import type { FileEntry, MmEntry, VmaEntry } from "../../criu/wire/generated/schema.ts";
import { looksOf } from "../../descriptors/file.ts";
import { refuse } from "../../errors.ts";
import type { MappedFile } from "../../forest/file-identity.ts";
import type { Backing, Mapping, Memory, Task } from "../../forest/task.ts";
import { MAP, PROT_WRITE } from "../../linux/mman.ts";
import { O, O_ACCMODE } from "../../linux/open.ts";
import { mostMappings } from "../../linux/process-bounds.ts";
import { contentsFrom } from "./contents.ts";
import { fileEntries, type ProcessTables } from "./files.ts";
import type { ImageGhosts } from "./ghosts.ts";
import { unlessEmpty } from "./side-record.ts";

/** The address space of one process; contents refer to the pages files, and what it shares is in `objects`. */
export function memoryFromImages(
	dir: ImageDir,
	pid: number,
	mm: MmEntry,
	{ objects, ghosts, beside }: ProcessTables,
): Omit<Memory, "objects" | "ghosts"> {
	const entries = fileEntries(dir);
	const subject = `${dir.path}/mm-${pid}.img`;
	const fileOf = (vma: VmaEntry): FileEntry =>
		entries.get(Number(vma.shmid)) ??
		refuse("ERR_IMAGE_CORRUPT", {
			subject,
			finding: `mapping ${hex(vma.start)} names file ${vma.shmid}`,
			expectation: "which files.img does not hold",
		});

	const backingOf = (vma: VmaEntry): Backing => {
		const { status } = vma;
		const offset = fileOffset(vma.pgoff);
		if (status & VMA.GUARD) return { kind: "guard" };
		if (status & VMA.VSYSCALL) return { kind: "vsyscall" };
		if (status & VMA.VDSO) return { kind: "vdso" };
		if (status & VMA.VVAR) return { kind: "vvar" };
		if (status & VMA.AIORING) return { kind: "aio" };
		if (status & VMA.SOCKET) return { kind: "socket" };
		if (status & VMA.SYSVIPC) return { kind: "sysv", id: vma.shmid, offset };
		if (status & VMA.MEMFD) {
			const memfd = objects.memfd(BigInt(fileOf(vma).memfd?.inode_id ?? -1), "mapping");
			if (memfd === undefined)
				return refuse("ERR_IMAGE_CORRUPT", {
					subject,
					finding: `mapping ${hex(vma.start)} names memfd ${vma.shmid}`,
					expectation: "which memfd.img does not hold",
				});
			const reader = !memfd.readOnly && !isWritable(vma, true);
			return { kind: "object", object: memfd.object, offset, ...(reader ? { writable: false } : {}) };
		}
		if (status & VMA.ANON_SHARED)
			return { kind: "object", object: objects.anonymous(vma.shmid, vma.pgoff + vma.end - vma.start), offset };
		if (status & (VMA.FILE_PRIVATE | VMA.FILE_SHARED)) {
			const reg = fileOf(vma).reg;
			if (reg === undefined)
				return refuse("ERR_IMAGE_CORRUPT", {
					subject,
					finding: `mapping ${hex(vma.start)} names file ${vma.shmid}`,
					expectation: "expected a regular file",
				});
			const id = Number(vma.shmid);
			const ghost = ghosts.ghost(id)?.id;
			const path = ghosts.link(id) ?? reg.name;
			const writable = isWritable(vma, (status & VMA.FILE_SHARED) !== 0 && (vma.prot & PROT_WRITE) !== 0);
			return { kind: "file", path, offset, writable, ...defined({ ghost }) };
		}
		return { kind: "anonymous", ...roleOf(vma, mm) };
	};

	requireFew(subject, mm, mostMappings(dir.size));
	const mappings = mm.vmas.map((vma): Mapping => {
		const { start, end, prot } = vma;
		if (start >= end || start % PAGE_SIZE !== 0n || end % PAGE_SIZE !== 0n)
			refuse("ERR_IMAGE_CORRUPT", {
				subject,
				finding: `mapping ${hex(start)}-${hex(end)} is no range of pages`,
				expectation: "expected start below end, both aligned",
			});
		const flags = (vma.flags & ~(MAP.SHARED | MAP.PRIVATE | MAP.ANONYMOUS | MAP.FIXED)) >>> 0;
		const range = { start: address(start), end: address(end) };
		return {
			...range,
			prot,
			shared: (vma.flags & MAP.SHARED) !== 0,
			backing: backingOf(vma),
			flags,
			advice: vma.madv ?? 0n,
			// a guard may be all of another mapping
			...(vma.status & VMA.GUARD ? {} : unlessEmpty(beside.mapping(range))),
		};
	});
	mappings.sort(byStart);
	requireDistinct(subject, mappings);
	const exe = entries.get(mm.exe_file_id)?.reg;
	if (exe === undefined)
		return refuse("ERR_IMAGE_CORRUPT", {
			subject,
			finding: `the executable is file ${mm.exe_file_id}`,
			expectation: "which files.img does not hold as a regular file",
		});
	const executableGhost = ghosts.ghost(mm.exe_file_id)?.id;
	const words = mm.mm_saved_auxv;
	return {
		mappings,
		contents: contentsFrom(dir, `pagemap-${pid}.img`, address),
		bounds: boundsFrom(mm),
		executable: ghosts.link(mm.exe_file_id) ?? exe.name,
		...defined({ executableGhost }),
		files: mappedFiles(mm, entries, ghosts),
		auxv: Array.from({ length: words.length >> 1 }, (_, i) => ({
			type: Number(words[2 * i]),
			value: words[2 * i + 1] ?? 0n,
		})),
		dumpable: mm.dumpable ?? 1,
		...defined({ hugePagesDisabled: mm.thp_disabled }),
	};
}

/** Words of an auxiliary vector; the kernel's has a tenth of that. */
const MOST_AUXV_WORDS = 4096;

function requireFew(subject: string, { vmas, mm_saved_auxv }: MmEntry, mostVmas: number): void {
	for (const [count, what, most] of [
		[vmas.length, "mappings", mostVmas],
		[mm_saved_auxv.length, "words of auxiliary vector", MOST_AUXV_WORDS],
	] as const)
		if (count > most)
			refuse("ERR_IMAGE_CORRUPT", {
				subject,
				finding: `has ${count} ${what}`,
				expectation: `expected at most ${most}`,
			});
}

/** Guards lie inside other mappings; of these, no two are in one place. */
function requireDistinct(subject: string, sorted: readonly Mapping[]): void {
	let before: Mapping | undefined;
	for (const next of sorted) {
		if (next.backing.kind === "guard") continue;
		if (before !== undefined && before.end > next.start)
			refuse("ERR_IMAGE_CORRUPT", {
				subject,
				finding: `mappings ${hex(before.start)}-${hex(before.end)} and ${hex(next.start)}-${hex(next.end)} overlap`,
				expectation: "expected distinct ones",
			});
		before = next;
	}
}

/** Whether the file behind it was open for writing. */
const isWritable = ({ fdflags }: VmaEntry, unknown: boolean): boolean =>
	fdflags === undefined ? unknown : (fdflags & O_ACCMODE) !== O.RDONLY;

const roleOf = (vma: VmaEntry, mm: MmEntry): { readonly role?: "heap" | "stack" } => {
	if (vma.start <= mm.mm_start_stack && mm.mm_start_stack < vma.end) return { role: "stack" };
	return (vma.status & VMA.HEAP) !== 0 ? { role: "heap" } : {};
};

function mappedFiles(
	mm: MmEntry,
	entries: ReadonlyMap<number, FileEntry>,
	ghosts: ImageGhosts,
): Map<string, MappedFile> {
	const files = new Map<string, MappedFile>();
	const ids = [
		mm.exe_file_id,
		...mm.vmas.filter(({ status }) => status & (VMA.FILE_PRIVATE | VMA.FILE_SHARED)).map(({ shmid }) => Number(shmid)),
	];
	for (const id of ids) {
		const reg = entries.get(id)?.reg;
		if (reg === undefined || ghosts.ghost(id) !== undefined) continue;
		const path = ghosts.link(id) ?? reg.name;
		if (!files.has(path)) files.set(path, { ...looksOf(reg), path });
	}
	return files;
}

/** The eleven addresses of an mm_entry. */
export const boundsFrom = (mm: MmEntry): Task["memory"]["bounds"] => ({
	startCode: address(mm.mm_start_code),
	endCode: address(mm.mm_end_code),
	startData: address(mm.mm_start_data),
	endData: address(mm.mm_end_data),
	startStack: address(mm.mm_start_stack),
	startBrk: address(mm.mm_start_brk),
	brk: address(mm.mm_brk),
	argStart: address(mm.mm_arg_start),
	argEnd: address(mm.mm_arg_end),
	envStart: address(mm.mm_env_start),
	envEnd: address(mm.mm_env_end),
});
