import { type Address, type FileOffset, fileOffset, hex, PAGE_SIZE, plus } from "../bytes/address.ts";
import { allWithin, endOf, extent, type Placed, place, rangeOf } from "../bytes/extent.ts";
import { byStart, gaps, lengthOf } from "../bytes/range.ts";
import type { ByteSource } from "../bytes/source.ts";
import type { NotedFile } from "../core/files.ts";
import type { NewSegment } from "../core/new-core.ts";
import { ELF_MAGIC } from "../elf/file.ts";
import { type Finding, loss } from "../finding.ts";
import type { Mapping, Memory, SharedObject } from "../forest/task.ts";
import { PROT_READ } from "../linux/mman.ts";

type OpenMapped = (path: string) => ByteSource | undefined;

/** Segments and file rows of a core, from what a process has mapped. */
export function memoryForCore(
	memory: Memory,
	open: OpenMapped,
	report: (finding: Finding) => void,
): { readonly segments: readonly NewSegment[]; readonly files: readonly NotedFile[] } {
	const objects = new Map(memory.objects.map((object) => [object.id, object]));
	// guard pages are marks within a mapping, not mappings
	const mappings = memory.mappings.filter(({ backing }) => backing.kind !== "guard");
	return {
		segments: mappings.map((mapping) => segmentOf(mapping, memory.contents, objects, open, report)),
		files: mappings.flatMap((mapping) => fileOf(mapping, objects)),
	};
}

function segmentOf(
	mapping: Mapping,
	contents: readonly Placed<Address>[],
	objects: ReadonlyMap<number, SharedObject>,
	open: OpenMapped,
	report: (finding: Finding) => void,
): NewSegment {
	const { start, end, prot, backing, shared } = mapping;
	const whole = (contents: readonly Placed<Address>[]): NewSegment => ({
		...{ start, end, prot, fileSize: end - start, contents },
	});
	const nothing: NewSegment = { start, end, prot, fileSize: 0n, contents: [] };
	switch (backing.kind) {
		case "vdso":
			return whole(allWithin(contents, mapping));
		case "vvar":
		case "vsyscall":
			// in the kernel's own cores too there is nothing but room for it
			return whole([]);
		case "anonymous": {
			const own = allWithin(contents, mapping);
			return own.length === 0 ? nothing : whole(own);
		}
		case "object":
			return whole(objectContents(mapping, backing, objects.get(backing.object)));
		case "file":
			return shared ? nothing : fileSegment(mapping, allWithin(contents, mapping), open(backing.path), report);
		case "sysv":
			report(loss("contents-lost", `mapping ${hex(start)}`, "System V shared memory is not in images"));
			return nothing;
		default:
			return nothing;
	}
}

/**
 * A private mapping of a file. Of one that was changed beyond its first page the kernel dumps everything, and so the pages
 * between come from the file; of another only the first page of an ELF file, in which a debugger finds the build-id.
 */
function fileSegment(
	mapping: Mapping,
	changed: readonly Placed<Address>[],
	file: ByteSource | undefined,
	report: (finding: Finding) => void,
): NewSegment {
	const { start, end, prot, backing } = mapping;
	const offset = backing.kind === "file" ? backing.offset : 0n;
	const draft = { start, end, prot };
	const last = changed.at(-1);
	const beyondFirst = last !== undefined && endOf(last) > start + PAGE_SIZE;
	const size = beyondFirst ? end - start : last !== undefined || isElf(mapping, file) ? PAGE_SIZE : 0n;
	const range = { start, end: plus(start, size) };
	const missing = gaps(range, changed.map(rangeOf));
	if (file === undefined) {
		// what follows the last changed page is left to whoever has the file
		const until = last === undefined ? start : endOf(last);
		const lost = missing.filter((gap) => gap.start < until).reduce((sum, gap) => sum + lengthOf(gap), 0n);
		if (lost > 0n && backing.kind === "file")
			report(loss("contents-lost", `mapping ${hex(start)}`, `${lost} bytes of ${backing.path}, which is not here`));
		return { ...draft, fileSize: until - start, contents: changed };
	}
	const unchanged = missing.map((gap) => {
		const from = offset + (gap.start - start);
		return place(gap.start, extent(file, from, lengthOf(gap), file.size - from));
	});
	const contents = [...changed, ...unchanged.filter(({ available }) => available > 0n)].sort(byStart);
	return { ...draft, fileSize: size, contents };
}

const isElf = ({ prot, backing }: Mapping, file: ByteSource | undefined): boolean =>
	(prot & PROT_READ) !== 0 &&
	backing.kind === "file" &&
	backing.offset === 0n &&
	file?.read(fileOffset(0), 4)?.readUInt32BE() === ELF_MAGIC;

const objectContents = (
	{ start, end }: Mapping,
	{ offset }: { readonly offset: FileOffset },
	object: SharedObject | undefined,
): Placed<Address>[] =>
	allWithin(object?.contents ?? [], { start: offset, end: plus(offset, end - start) }).map((part) =>
		place(plus(start, part.start - offset), part),
	);

/** The row of a mapping in NT_FILE: the kernel lists whatever a file or an object is behind. */
function fileOf({ start, end, backing }: Mapping, objects: ReadonlyMap<number, SharedObject>): NotedFile[] {
	const row = (path: string, deleted: boolean, offset = 0n): NotedFile[] => [
		{ start, end, offset: fileOffset(offset), path, deleted },
	];
	switch (backing.kind) {
		case "file":
			return row(backing.path, false, backing.offset);
		case "object": {
			const name = objects.get(backing.object)?.name;
			return row(name === undefined ? "/dev/zero" : `/memfd:${name}`, true, backing.offset);
		}
		case "sysv":
			return row("/SYSV00000000", true, backing.offset);
		case "aio":
			return row("/[aio]", true);
		case "socket":
			return row("socket:[0]", false);
		default:
			return [];
	}
}
