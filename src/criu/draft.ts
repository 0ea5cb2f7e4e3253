import { chmodSync, constants, linkSync, symlinkSync } from "node:fs";
import { copyFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { fileOffset, hex } from "../bytes/address.ts";
import { readInto } from "../bytes/bulk.ts";
import { entryAt, syncDirectory, syncFile } from "../bytes/directory.ts";
import { attemptWrite, type ByteSink, createFile } from "../bytes/sink.ts";
import { attempt } from "../bytes/source.ts";
import { refuse } from "../errors.ts";
import type { Extent } from "./image.ts";
import type { ImageDir } from "./image-dir.ts";
import { isPlainName } from "./own-names.ts";
import { type PagesPlan, type WriteOptions, type WrittenPages, workOf, writePages } from "./pages.ts";

/** A new image directory as a value. No name occurs twice, and `inventory.img` is among them. */
export interface ImageDraft {
	/** File name to the file of the donor that is kept under it byte for byte. */
	readonly copies: ReadonlyMap<string, string>;
	/** File name to what is written there. */
	readonly images: ReadonlyMap<string, readonly (Uint8Array | Extent)[]>;
	readonly pages: readonly PagesPlan[];
}

/** The directory that a draft replaces or takes after. */
export type Donor = Pick<ImageDir, "path" | "parent">;

/** What was written. */
export interface Written {
	/** By the name of the pagemap. */
	readonly pages: ReadonlyMap<string, WrittenPages>;
}

/** The image without which no directory is one, and whose absence marks one as unfinished. */
export const INVENTORY = "inventory.img";

/** The link by which an incremental dump names the directory it continues. */
export const PARENT = "parent";

/** Every file name of a draft. */
export const namesIn = ({ copies, images, pages }: ImageDraft): string[] => [
	...copies.keys(),
	...images.keys(),
	...pages.flatMap((plan) => [plan.pages, plan.pagemap]),
];

/** Bytes that writing a draft reports as progress, altogether. */
export const draftWork = ({ images, pages }: ImageDraft): bigint =>
	[...images.values()].flat().reduce((sum, piece) => sum + (piece instanceof Uint8Array ? 0n : piece.length), 0n) +
	pages.reduce((sum, plan) => sum + workOf(plan), 0n);

/**
 * Writes the files of a draft into an existing directory, where their names must be free. Files are made with mode 0600,
 * never through a link; a donor's link `parent` is made anew. A draft that copies nothing needs no donor. On failure what was written stays: the directory is one that the caller throws away.
 *
 * @param link - Kept files may become second names of the donor's instead of copies: right where the donor's own go away.
 * @throws NecromancerError ERR_IO, ERR_IMAGE_TRUNCATED when an image became shorter, ERR_IMAGE_CORRUPT when a kept name
 * is no regular file; and what {@link writePages} throws.
 * @throws RangeError when the draft is not one: a bug of the caller.
 */
export async function writeDraft(
	draft: ImageDraft,
	donor: Donor | undefined,
	target: string,
	options: WriteOptions = {},
	link = false,
): Promise<Written> {
	checkDraft(draft);
	for (const [name, from] of draft.copies) {
		options.signal?.throwIfAborted();
		if (donor === undefined) throw new RangeError(`the draft copies ${from} of no donor`);
		await keep(join(donor.path, from), join(target, name), link);
		if (options.sync) syncFile(join(target, name));
	}
	for (const [name, pieces] of draft.images) {
		const file = createFile(join(target, name), name);
		try {
			for (const piece of pieces) {
				if (piece instanceof Uint8Array) file.append(piece);
				else await copyExtent(piece, file, options);
			}
			if (options.sync) file.sync();
		} finally {
			file.close();
		}
	}
	const pages = new Map<string, WrittenPages>();
	for (const plan of draft.pages) pages.set(plan.pagemap, await writePages(target, plan, options));
	// Other processes of an incremental dump may still need the directory it continues.
	if (donor?.parent !== undefined && !link) {
		const parent = resolve(donor.path, donor.parent);
		attempt(target, () => symlinkSync(parent, join(target, PARENT)));
	}
	if (options.sync) syncDirectory(target);
	return { pages };
}

/** @throws RangeError */
export function checkDraft(draft: ImageDraft): void {
	const seen = new Set<string>();
	for (const name of namesIn(draft)) {
		if (!isPlainName(name)) throw new RangeError(`${JSON.stringify(name)} is no name for an image`);
		if (seen.has(name)) throw new RangeError(`the draft holds ${name} twice`);
		seen.add(name);
	}
	if (!seen.has(INVENTORY)) throw new RangeError(`the draft lacks ${INVENTORY}`);
}

/** Links or copies a file of the donor. Copies share their blocks with it where the file system can do that. */
async function keep(from: string, to: string, link: boolean): Promise<void> {
	if (!entryAt(from)?.isFile()) {
		refuse("ERR_IMAGE_CORRUPT", { subject: from, finding: "is no regular file", expectation: "expected an image" });
	}
	if (link && linked(from, to)) return;
	const { COPYFILE_EXCL, COPYFILE_FICLONE } = constants;
	await copyFile(from, to, COPYFILE_EXCL | COPYFILE_FICLONE).catch((cause: unknown) =>
		attemptWrite(to, () => {
			throw cause;
		}),
	);
	attempt(to, () => chmodSync(to, 0o600));
}

/** Not every file system has hard links, and fs.protected_hardlinks forbids them on the files of others. */
function linked(from: string, to: string): boolean {
	try {
		linkSync(from, to);
		return true;
	} catch (cause) {
		if (["EPERM", "EMLINK", "ENOTSUP", "ENOSYS", "EXDEV"].includes((cause as NodeJS.ErrnoException).code ?? ""))
			return false;
		return attemptWrite(to, () => {
			throw cause;
		});
	}
}

const BUFFER = 1 << 20;

async function copyExtent(
	{ source, offset, length }: Extent,
	file: ByteSink,
	{ progress, signal }: WriteOptions,
): Promise<void> {
	const buffer = Buffer.allocUnsafe(Number(length < BUFFER ? length : BUFFER));
	for (let done = 0n; done < length; ) {
		signal?.throwIfAborted();
		const left = length - done;
		const part = left < BigInt(buffer.length) ? buffer.subarray(0, Number(left)) : buffer;
		const at = fileOffset(offset + done);
		await readInto(source, at, part, (end) =>
			refuse("ERR_IMAGE_TRUNCATED", {
				subject: source.name,
				finding: `ends at ${hex(end)}`,
				expectation: `expected ${part.length} bytes at ${hex(at)}`,
			}),
		);
		file.append(part);
		done += BigInt(part.length);
		progress?.(BigInt(part.length));
	}
}
