import { hex, PAGE_SIZE } from "../../bytes/address.ts";
import { u32, viewOf } from "../../bytes/layout.ts";
import { createFile } from "../../bytes/sink.ts";
import { imageKinds, magicsOf } from "../kinds.ts";
import { encodeRecord } from "../wire/protobuf.ts";
import type { PagePlace } from "./page-run.ts";
import type { Emit } from "./page-sift.ts";

/** A pagemap image that grows while the pages are written. */
export interface PagemapWriter {
	/** Adds pages behind those before; runs that touch each other with equal flags become one entry. */
	readonly add: Emit;
	/** Entries so far. */
	readonly entries: number;
	readonly pages: number;
	/** Writes what is left. */
	finish(sync: boolean): void;
	close(): void;
}

/** Bytes collected before they are written: entries come by the hundred thousand, and none is kept. */
const BUFFER = 1 << 16;
/** More than the longest entry takes. */
const ROOM = 64;

/**
 * Creates a pagemap. The count goes into `nr_pages`, where CRIU 4 looks for it, and as long as it fits into
 * `compat_nr_pages` too, where CRIU 3 and crit do.
 *
 * @throws NecromancerError ERR_IO.
 */
export function createPagemap(path: string, name: string, pagesId: number): PagemapWriter {
	const file = createFile(path, name);
	const buffer = Buffer.allocUnsafe(BUFFER);
	const view = viewOf(buffer);
	let used = 0;
	let entries = 0;
	let pages = 0;
	let last: { readonly start: PagePlace; readonly flags: number; pages: number } | undefined;

	const word = (value: number): void => {
		u32.write(view, used, value);
		used += u32.size;
	};
	const record = (bytes: Uint8Array): void => {
		word(bytes.length);
		buffer.set(bytes, used);
		used += bytes.length;
	};
	const flush = (): void => {
		file.append(buffer.subarray(0, used));
		used = 0;
	};
	const put = (): void => {
		if (last === undefined) return;
		if (used > BUFFER - ROOM) flush();
		const count = BigInt(last.pages);
		record(
			encodeRecord("pagemap_entry", {
				vaddr: last.start,
				compat_nr_pages: last.pages <= 0xffff_ffff ? last.pages : 0,
				flags: last.flags,
				nr_pages: count,
			}),
		);
	};

	for (const magic of magicsOf(imageKinds.pagemap)) word(magic);
	record(encodeRecord("pagemap_head", { pages_id: pagesId }));
	return {
		add: (start, count, flags) => {
			pages += count;
			const end = last === undefined ? undefined : last.start + BigInt(last.pages) * PAGE_SIZE;
			if (end !== undefined && start < end) throw new RangeError(`${name}: ${hex(start)} lies before ${hex(end)}`);
			if (last !== undefined && start === end && flags === last.flags) {
				last.pages += count;
				return;
			}
			put();
			entries++;
			last = { start, flags, pages: count };
		},
		get entries() {
			return entries;
		},
		get pages() {
			return pages;
		},
		finish: (sync) => {
			put();
			last = undefined;
			flush();
			if (sync) file.sync();
		},
		close: () => file.close(),
	};
}
