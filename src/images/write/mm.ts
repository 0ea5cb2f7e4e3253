import { defined } from "../../bytes/defined.ts";
import { AUXV_WORDS, VMA } from "../../criu/vma.ts";
import type { AioRingEntry, MmEntry, VmaEntry } from "../../criu/wire/generated/schema.ts";
import { caution, type Finding } from "../../finding.ts";
import type { Mapping, Memory } from "../../forest/task.ts";
import { auxvName, trimAuxv } from "../../linux/auxv.ts";
import { MAP } from "../../linux/mman.ts";
import { O } from "../../linux/open.ts";

/** Where the images keep what mappings show. */
export interface Shown {
	/** The file entry that a mapping of `path`, or the executable, names; `ghost` if it had lost that name. */
	file(path: string, ghost?: number): number;
	object(id: number): ShownObject;
}

/** How a mapping shows a shared object. */
export interface ShownObject {
	/** The object's own id, or for a memfd the id of a file entry. */
	readonly shmid: bigint;
	readonly memfd: boolean;
	/** Sealed against writing: a shared mapping that could still be made writable would keep the seal off. */
	readonly sealed: boolean;
}

/** The mm image: bounds, auxiliary vector and every VMA. What else `base` says stays. */
export function mmEntry(
	memory: Memory,
	base: MmEntry | undefined,
	shown: Shown,
	report: (finding: Finding) => void,
): MmEntry {
	const { bounds, mappings, hugePagesDisabled } = memory;
	const auxv = trimAuxv(memory.auxv, AUXV_WORDS);
	if (auxv.dropped.length > 0)
		report(
			caution(
				"auxv-trimmed",
				"auxiliary vector",
				`${auxv.dropped.map(({ type }) => auxvName(type)).join(", ")} left out of /proc/PID/auxv`,
			),
		);
	const isGuard = ({ backing }: Mapping): boolean => backing.kind === "guard";
	// CRIU stops looking for pages at the first guard
	const ordered = [...mappings.filter((mapping) => !isGuard(mapping)), ...mappings.filter(isGuard)];
	return {
		...base,
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
		exe_file_id: shown.file(memory.executable, memory.executableGhost),
		mm_saved_auxv: auxv.kept.flatMap(({ type, value }) => [BigInt(type), value]),
		vmas: ordered.map((mapping) => vmaEntry(mapping, shown)),
		dumpable: memory.dumpable,
		aios: mappings.filter(({ backing }) => backing.kind === "aio").map(aioRing),
		...defined({ thp_disabled: hugePagesDisabled }),
	};
}

/** @throws RangeError for the ring of a packet socket: images name the socket, and a task does not. */
function vmaEntry(mapping: Mapping, shown: Shown): VmaEntry {
	const { start, end, prot, advice, shared, backing } = mapping;
	const sharing = shared ? MAP.SHARED : (mapping.flags & MAP.DROPPABLE) === 0 ? MAP.PRIVATE : 0;
	// the size of huge pages reaches into the highest bit
	const flags = (sharing | mapping.flags) >>> 0;
	const entry = { start, end, prot, pgoff: 0n, shmid: 0n, fd: -1n, ...(advice === 0n ? {} : { madv: advice }) };
	const anonymous = { ...entry, flags: (flags | MAP.ANONYMOUS) >>> 0 };
	const ofFile = shared ? VMA.FILE_SHARED : VMA.FILE_PRIVATE;
	switch (backing.kind) {
		case "anonymous":
			return { ...anonymous, status: VMA.REGULAR | VMA.ANON_PRIVATE | (backing.role === "heap" ? VMA.HEAP : 0) };
		case "file":
			return {
				...entry,
				pgoff: backing.offset,
				shmid: BigInt(shown.file(backing.path, backing.ghost)),
				flags,
				status: VMA.REGULAR | ofFile,
				fdflags: backing.writable ? O.RDWR : O.RDONLY,
			};
		case "object": {
			const { shmid, memfd, sealed } = shown.object(backing.object);
			if (!memfd) return { ...anonymous, pgoff: backing.offset, shmid, status: VMA.REGULAR | VMA.ANON_SHARED };
			return {
				...entry,
				pgoff: backing.offset,
				shmid,
				flags,
				status: VMA.REGULAR | VMA.MEMFD | ofFile,
				fdflags: (shared && sealed) || backing.writable === false ? O.RDONLY : O.RDWR,
			};
		}
		case "sysv": {
			const { id: shmid, offset: pgoff } = backing;
			return { ...anonymous, pgoff, shmid, status: VMA.REGULAR | VMA.ANON_SHARED | VMA.SYSVIPC };
		}
		case "vdso":
			return { ...anonymous, status: VMA.REGULAR | VMA.ANON_PRIVATE | VMA.VDSO };
		case "vvar":
			return { ...anonymous, status: VMA.REGULAR | VMA.ANON_PRIVATE | VMA.VVAR };
		case "vsyscall":
			return { ...anonymous, status: VMA.ANON_PRIVATE | VMA.VSYSCALL };
		case "aio":
			return { ...entry, flags, status: VMA.AIORING, fdflags: O.RDWR };
		case "guard":
			return { ...entry, prot: 0, flags: 0, status: VMA.GUARD };
		case "socket":
			throw new RangeError("images cannot hold the ring of a packet socket without the socket");
	}
}

/** Bytes of `struct aio_ring` and of an io_event in it (fs/aio.c). */
const AIO_HEADER = 32n;
const AIO_EVENT = 32n;

/** The kernel gives a ring room for twice the requests asked for and two more; this many asked for make one as long. */
const aioRing = ({ start, end }: Mapping): AioRingEntry => {
	const events = (end - start - AIO_HEADER) / AIO_EVENT;
	return { id: start, nr_req: Number((events - 2n) / 2n), ring_len: Number(end - start) };
};
