import { readFileSync } from "node:fs";
import { fixturePath } from "../builders/fixture-core.ts";
import type { RawCore } from "./core-reader.ts";
import type { Message, ReadImages } from "./image-reader.ts";

/**
 * What CRIU would make of a directory of images, by its rules and without the code under test: which mappings, and which
 * bytes each page shows.
 */

/** A vma_entry. */
export interface Vma {
	readonly start: bigint;
	readonly end: bigint;
	readonly pgoff: bigint;
	readonly shmid: bigint;
	readonly prot: number;
	readonly flags: number;
	readonly status: number;
	readonly madv?: bigint;
	readonly fdflags?: number;
}

export const vmasOf = (mm: Message): Vma[] =>
	mm.messages(14).map((vma) => ({
		start: vma.number(1),
		end: vma.number(2),
		pgoff: vma.number(3),
		shmid: vma.number(4),
		prot: Number(vma.number(5)),
		flags: Number(vma.number(6)),
		status: Number(vma.number(7)),
		...(vma.has(9) ? { madv: vma.number(9) } : {}),
		...(vma.has(10) ? { fdflags: Number(vma.number(10)) } : {}),
	}));

/** A file_entry of type REG. */
export interface RegFile {
	readonly id: number;
	readonly name: string;
	readonly flags: number;
	readonly size?: bigint;
	readonly mode?: number;
	/** Hex, with the padding to whole words. */
	readonly buildId?: string;
}

const REG = 1n;

export const regFilesOf = (images: ReadImages): Map<number, RegFile> =>
	new Map(
		images
			.records("files.img")
			.filter((entry) => entry.number(1) === REG)
			.map((entry) => [Number(entry.number(2)), regFileOf(entry.message(3))]),
	);

function regFileOf(reg: Message): RegFile {
	const words = Buffer.alloc(4 * reg.numbers(11).length);
	for (const [i, word] of reg.numbers(11).entries()) words.writeUInt32LE(Number(word), 4 * i);
	return {
		id: Number(reg.number(1)),
		name: reg.text(6),
		flags: Number(reg.number(2)),
		...(reg.has(8) ? { size: reg.number(8) } : {}),
		...(reg.has(10) ? { mode: Number(reg.number(10)) } : {}),
		...(words.length === 0 ? {} : { buildId: words.toString("hex") }),
	};
}

/** What a page shows: bytes, those of a file that is not at hand, or nothing that could be touched (past a file's end). */
export type Shown = Buffer | "absent file" | "past the end" | "not private";

export interface RestoredMemory {
	readonly vmas: readonly Vma[];
	/** Page addresses that the pages file holds. */
	readonly written: ReadonlySet<bigint>;
	page(at: bigint): Shown;
	/** What a page would show if the pages file lacked it. */
	unwritten(at: bigint): Shown;
	/** Bytes across pages; throws where they are not known. */
	read(at: bigint, length: number): Buffer;
}

const STATUS = { VSYSCALL: 4, FILE_PRIVATE: 0x40, FILE_SHARED: 0x80, ANON_SHARED: 0x100, VVAR: 0x1000, MEMFD: 0x4000 };
const PAGE = 4096n;

/** @param fileAt This host's bytes of a mapped file, if it is the one that the images mean. */
export function restoredMemory(
	images: ReadImages,
	pid: number,
	fileAt: (file: RegFile) => Buffer | undefined = fileHere,
): RestoredMemory {
	const [mm] = images.records(`mm-${pid}.img`);
	const vmas = mm === undefined ? [] : vmasOf(mm);
	const pages = images.pages(`pagemap-${pid}.img`);
	const files = regFilesOf(images);
	const bytesOf = new Map([...files.values()].map((file) => [file.id, fileAt(file)]));

	const shown = (at: bigint, written: Buffer | undefined): Shown => {
		const vma = vmas.find(({ start, end }) => start <= at && at < end);
		if (vma === undefined) throw new RangeError(`0x${at.toString(16)} is not mapped`);
		if ((vma.status & (STATUS.FILE_SHARED | STATUS.VVAR | STATUS.VSYSCALL)) !== 0) return "not private";
		const within = at - vma.start + vma.pgoff;
		if ((vma.status & STATUS.ANON_SHARED) !== 0)
			return images.pages(`pagemap-shmem-${vma.shmid}.img`).get(within) ?? Buffer.alloc(4096);
		if (written !== undefined) return written;
		if ((vma.status & STATUS.FILE_PRIVATE) === 0) return Buffer.alloc(4096);
		if (!files.has(Number(vma.shmid))) throw new RangeError(`0x${at.toString(16)} maps file ${vma.shmid}`);
		const bytes = bytesOf.get(Number(vma.shmid));
		if (bytes === undefined) return "absent file";
		const part = bytes.subarray(Number(within), Number(within + PAGE));
		return part.length === 0 ? "past the end" : Buffer.concat([part, Buffer.alloc(4096 - part.length)]);
	};
	const page = (at: bigint): Shown => shown(at, pages.get(at));
	const read = (at: bigint, length: number): Buffer => {
		const pieces: Buffer[] = [];
		for (let start = at - (at % PAGE); start < at + BigInt(length); start += PAGE) {
			const bytes = page(start);
			if (typeof bytes === "string") throw new RangeError(`0x${start.toString(16)}: ${bytes}`);
			pieces.push(bytes);
		}
		return Buffer.concat(pieces).subarray(Number(at % PAGE), Number(at % PAGE) + length);
	};
	return { vmas, written: new Set(pages.keys()), page, unwritten: (at) => shown(at, undefined), read };
}

/** Where the fixtures' own programs lie here. */
export const placeHere = (path: string): string => path.replace(/^\/opt\/victims\//, () => fixturePath(""));

const here = new Map<string, Buffer | undefined>();

/** This host's file, when its first pages hold the build-id of the images, or it has their size where they know none. */
export function fileHere({ name, size, buildId }: RegFile): Buffer | undefined {
	if (!here.has(name)) here.set(name, tryRead(placeHere(name)));
	const bytes = here.get(name);
	if (bytes === undefined) return undefined;
	const same =
		buildId === undefined
			? size === undefined || size === BigInt(bytes.length)
			: bytes.subarray(0, 8192).includes(Buffer.from(buildId, "hex"));
	return same ? bytes : undefined;
}

function tryRead(path: string): Buffer | undefined {
	try {
		return readFileSync(path);
	} catch {
		return undefined;
	}
}

/**
 * Holds every page of private memory against the core, and what the core is silent about against silence.
 *
 * @returns The pages compared, and each that differs, in words.
 */
export function compareWithCore(
	memory: RestoredMemory,
	{ loads }: RawCore,
): { compared: Set<bigint>; wrong: string[] } {
	const compared = new Set<bigint>();
	const wrong: string[] = [];
	for (const { start, end, bytes } of loads)
		for (let at = start; at < end; at += PAGE) {
			const from = Number(at - start);
			if (from >= bytes.length) {
				if (memory.written.has(at)) wrong.push(`0x${at.toString(16)} is written, but not in the core`);
				continue;
			}
			const shown = memory.page(at);
			if (shown === "not private") continue;
			const held = Buffer.concat([bytes.subarray(from, from + 4096), ZEROS]).subarray(0, 4096);
			// pages behind a file's end are no memory at all; the core has holes there
			const same = typeof shown === "string" ? shown === "past the end" && held.equals(ZEROS) : held.equals(shown);
			if (same) compared.add(at);
			else wrong.push(`0x${at.toString(16)} ${typeof shown === "string" ? `shows ${shown}` : "differs"}`);
		}
	return { compared, wrong };
}

const ZEROS = Buffer.alloc(4096);
