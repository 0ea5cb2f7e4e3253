import { symlinkSync } from "node:fs";
import { resolve } from "node:path";
import { hex } from "../../bytes/address.ts";
import { readExtent } from "../../bytes/bulk.ts";
import { type Directory, syncDirectory, syncFile } from "../../bytes/directory.ts";
import { type Extent, least, piecesOf } from "../../bytes/extent.ts";
import { type ByteSink, createFile } from "../../bytes/sink.ts";
import { attempt } from "../../bytes/source.ts";
import { refuse } from "../../errors.ts";
import type { ImageDir } from "../image-dir.ts";
import { copyKept } from "../kept-file.ts";
import { isPlainName } from "../own-names.ts";
import { type PagesPlan, type WriteOptions, type WrittenPages, workOf, writePages } from "../pages/pages.ts";

/** A new image directory as a value. No name occurs twice, and `inventory.img` is among them. */
export interface NewImages {
	/** File name to the file of the donor that is kept under it byte for byte. */
	readonly copies: ReadonlyMap<string, string>;
	/** File name to what is written there. */
	readonly images: ReadonlyMap<string, readonly (Uint8Array | Extent)[]>;
	readonly pages: readonly PagesPlan[];
}

/** The directory that a draft replaces or takes after. */
export type Donor = Pick<ImageDir, "path" | "parent" | "directory">;

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
export const namesIn = ({ copies, images, pages }: NewImages): string[] => [
	...copies.keys(),
	...images.keys(),
	...pages.flatMap((plan) => [plan.pages, plan.pagemap]),
];

/** Bytes that writing a draft reports as progress, altogether. */
export const draftWork = ({ images, pages }: NewImages): bigint =>
	[...images.values()].flat().reduce((sum, piece) => sum + (piece instanceof Uint8Array ? 0n : piece.length), 0n) +
	pages.reduce((sum, plan) => sum + workOf(plan), 0n);

/**
 * Writes the files of a draft into an existing directory, where their names must be free. Files are made with mode 0600,
 * never through a link; a donor's link `parent` is made anew. A draft that copies nothing needs no donor. On failure what was written stays: the directory is one that the caller throws away.
 *
 * @param inPlace - They will replace the donor's own, whose link `parent` stays where it is.
 * @throws NecromancerError ERR_IO, ERR_IMAGE_TRUNCATED when an image became shorter; what {@link copyKept} throws; and what {@link writePages} throws.
 * @throws RangeError when the draft is not one: a bug of the caller.
 */
export async function writeNewImages(
	draft: NewImages,
	donor: Donor | undefined,
	target: Directory,
	options: WriteOptions = {},
	inPlace = false,
): Promise<Written> {
	checkNewImages(draft);
	for (const [name, from] of draft.copies) {
		options.signal?.throwIfAborted();
		if (donor === undefined) throw new RangeError(`the draft copies ${from} of no donor`);
		await copyKept(donor.directory, from, target, name, options.signal);
		if (options.sync) syncFile(target, name);
	}
	for (const [name, pieces] of draft.images) {
		const file = createFile(target.at(name), name);
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
	for (const plan of draft.pages) pages.set(plan.pagemap, await writePages(target.at("."), plan, options));
	// Other processes of an incremental dump may still need the directory it continues.
	if (donor?.parent !== undefined && !inPlace) {
		const parent = resolve(donor.path, donor.parent);
		attempt(target.nameOf(PARENT), () => symlinkSync(parent, target.at(PARENT)));
	}
	if (options.sync) syncDirectory(target);
	return { pages };
}

/** @throws RangeError */
export function checkNewImages(draft: NewImages): void {
	const seen = new Set<string>();
	for (const name of namesIn(draft)) {
		if (!isPlainName(name)) throw new RangeError(`${JSON.stringify(name)} is no name for an image`);
		if (seen.has(name)) throw new RangeError(`the draft holds ${name} twice`);
		seen.add(name);
	}
	if (!seen.has(INVENTORY)) throw new RangeError(`the draft lacks ${INVENTORY}`);
}

/** Bytes that are copied at a time. */
const PIECE = 1n << 20n;

async function copyExtent(whole: Extent, file: ByteSink, { progress, signal }: WriteOptions): Promise<void> {
	const buffer = Buffer.allocUnsafe(Number(least(whole.length, PIECE)));
	for (const piece of piecesOf(whole, PIECE)) {
		signal?.throwIfAborted();
		const bytes = buffer.subarray(0, Number(piece.length));
		await readExtent(piece, bytes, (end) =>
			refuse("ERR_IMAGE_TRUNCATED", {
				subject: piece.source.name,
				finding: `ends at ${hex(end)}`,
				expectation: `expected ${piece.available} bytes at ${hex(piece.offset)}`,
			}),
		);
		file.append(bytes);
		progress?.(piece.length);
	}
}
