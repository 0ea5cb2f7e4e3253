import { type Address, type FileOffset, hex, PAGE_SIZE } from "../../bytes/address.ts";
import { extent, type Placed, place } from "../../bytes/extent.ts";
import { pageCount, pagemapFlags } from "../../criu/image.ts";
import type { ImageDir } from "../../criu/image-dir.ts";
import { PE } from "../../criu/vma.ts";
import { refuse } from "../../errors.ts";

/**
 * What a pagemap says lies in its pages file. Entries for a parent directory's pages are not contents of this one.
 *
 * @param at makes a place of the number in an entry: an address, or an offset in a shared object.
 */
export function contentsFrom<At extends Address | FileOffset>(
	dir: ImageDir,
	pagemap: string,
	at: (vaddr: bigint) => At,
): Placed<At>[] {
	if (!dir.has(pagemap)) return [];
	const image = dir.image(pagemap, "pagemap");
	if (image.head === undefined || image.records.length === 0) return [];
	const pages = dir.source(`pages-${image.head.pages_id}.img`);
	const contents: Placed<At>[] = [];
	let offset = 0n;
	for (const { value } of image.records) {
		if ((pagemapFlags(value) & PE.PRESENT) === 0) continue;
		const length = pageCount(value) * PAGE_SIZE;
		if (offset + length > pages.size)
			refuse("ERR_IMAGE_TRUNCATED", {
				subject: pages.name,
				finding: `has ${pages.size} bytes`,
				expectation: `but ${pagemap} places ${hex(value.vaddr)} at ${hex(offset)} with ${length}`,
				remedy: "copy the directory again",
			});
		contents.push(place(at(value.vaddr), extent(pages, offset, length)));
		offset += length;
	}
	return contents;
}
