import { type Address, address, fileOffset, hex, PAGE_SIZE, plus } from "../../bytes/address.ts";
import { firstEndingAbove, gaps, intersect, lengthOf, type Range } from "../../bytes/range.ts";
import type { ByteSource } from "../../bytes/source.ts";
import type { NotedFile } from "../../core/files.ts";
import type { NewContent, NewSegment } from "../../core/new-core.ts";
import { type Finding, loss } from "../../finding.ts";
import { PROT_READ } from "../../linux/mman.ts";
import type { Content, Mapping, Memory, SharedObject } from "../task.ts";

type OpenMapped = (path: string) => ByteSource | undefined;

/** Segments and file rows of a core, from what a process has mapped. */
export function memoryForCore(
	memory: Memory,
	open: OpenMapped,
	report: (finding: Finding) => void,
): { readonly segments: readonly NewSegment[]; readonly files: readonly NotedFile[] } {
	const held = ranged(memory.contents);
	const objects = new Map(memory.objects.map((object) => [object.id, object]));
	// guard pages are marks within a mapping, not mappings
	const mappings = memory.mappings.filter(({ backing }) => backing.kind !== "guard");
	return {
		segments: mappings.map((mapping) => segmentOf(mapping, held, objects, open, report)),
		files: mappings.flatMap((mapping) => fileOf(mapping, objects)),
	};
}

type Held = Content & Range;

const ranged = (contents: readonly Content[]): Held[] =>
	contents.map((content) => ({ ...content, end: plus(content.start, content.length) }));

function segmentOf(
	mapping: Mapping,
	held: readonly Held[],
	objects: ReadonlyMap<number, SharedObject>,
	open: OpenMapped,
	report: (finding: Finding) => void,
): NewSegment {
	const { start, end, prot, backing, shared } = mapping;
	const whole = (contents: readonly NewContent[]): NewSegment => ({
		...{ start, end, prot, fileSize: end - start, contents },
	});
	const nothing: NewSegment = { start, end, prot, fileSize: 0n, contents: [] };
	switch (backing.kind) {
		case "vdso":
			return whole(within(held, mapping));
		case "vvar":
		case "vsyscall":
			// in the kernel's own cores too there is nothing but room for it
			return whole([]);
		case "anonymous": {
			const contents = within(held, mapping);
			return contents.length === 0 ? nothing : whole(contents);
		}
		case "object":
			return whole(objectContents(mapping, backing, objects.get(backing.object)));
		case "file":
			return shared ? nothing : fileSegment(mapping, within(held, mapping), open(backing.path), report);
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
	changed: readonly NewContent[],
	file: ByteSource | undefined,
	report: (finding: Finding) => void,
): NewSegment {
	const { start, end, prot, backing } = mapping;
	const offset = backing.kind === "file" ? backing.offset : 0n;
	const draft = { start, end, prot };
	const last = changed.at(-1);
	const beyondFirst = last !== undefined && last.start + last.length > start + PAGE_SIZE;
	const size = beyondFirst ? end - start : last !== undefined || isElf(mapping, file) ? PAGE_SIZE : 0n;
	const range = { start, end: plus(start, size) };
	const missing = gaps(range, ranged(changed));
	if (file === undefined) {
		// what follows the last changed page is left to whoever has the file
		const until = last === undefined ? start : plus(last.start, last.length);
		const lost = missing.filter((gap) => gap.start < until).reduce((sum, gap) => sum + lengthOf(gap), 0n);
		if (lost > 0n && backing.kind === "file")
			report(loss("contents-lost", `mapping ${hex(start)}`, `${lost} bytes of ${backing.path}, which is not here`));
		return { ...draft, fileSize: until - start, contents: changed };
	}
	const unchanged = missing.flatMap((gap): NewContent[] => {
		const from = offset + (gap.start - start);
		const available = file.size - from;
		if (available <= 0n) return [];
		return [{ start: gap.start, length: lengthOf(gap), source: file, offset: fileOffset(from), available }];
	});
	const contents = [...changed, ...unchanged].sort((a, b) => (a.start < b.start ? -1 : 1));
	return { ...draft, fileSize: size, contents };
}

const ELF_MAGIC = 0x7f454c46;

const isElf = ({ prot, backing }: Mapping, file: ByteSource | undefined): boolean =>
	(prot & PROT_READ) !== 0 &&
	backing.kind === "file" &&
	backing.offset === 0n &&
	file?.read(fileOffset(0), 4)?.readUInt32BE() === ELF_MAGIC;

/** What of sorted contents lies in a range. */
const within = (held: readonly Held[], range: Range): NewContent[] => shifted(held, range, 0n);

const objectContents = (
	{ start, end }: Mapping,
	{ offset }: { readonly offset: bigint },
	object: SharedObject | undefined,
): NewContent[] => {
	const shown = { start: address(offset), end: address(offset + (end - start)) };
	return shifted(ranged(object?.contents ?? []), shown, start - offset);
};

/** What of sorted contents lies in a range, so many bytes away from where they say. */
function shifted(held: readonly Held[], range: Range, by: bigint): NewContent[] {
	const found: NewContent[] = [];
	for (let i = firstEndingAbove(held, range.start); i < held.length; i++) {
		const content = held[i];
		const part = content && intersect(content, range);
		if (content === undefined || part === undefined) break;
		const skipped = part.start - content.start;
		found.push({
			start: plus(part.start, by),
			length: lengthOf(part),
			source: content.source,
			offset: fileOffset(content.offset + skipped),
			available: content.available > skipped ? content.available - skipped : 0n,
		});
	}
	return found;
}

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

/** `length` bytes at an address, zeros where contents have holes; `undefined` where they do not lie in one of them. */
export function contentBytes(contents: readonly Content[], at: Address, length: number): Buffer | undefined {
	const found = contents.find(({ start, length: size }) => start <= at && at + BigInt(length) <= start + size);
	if (found === undefined) return undefined;
	const skipped = at - found.start;
	const held = found.available > skipped ? Math.min(Number(found.available - skipped), length) : 0;
	const bytes = held === 0 ? Buffer.alloc(0) : found.source.read(fileOffset(found.offset + skipped), held);
	return bytes && Buffer.concat([bytes, Buffer.alloc(length - held)]);
}
