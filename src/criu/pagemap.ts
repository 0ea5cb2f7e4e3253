import { hex } from "../bytes/address.ts";
import { refuse } from "../errors.ts";
import { PE } from "./vma.ts";
import type { PagemapEntry, PagemapHead } from "./wire/generated/schema.ts";
import { unknownFields } from "./wire/message.ts";
import { fieldNumber } from "./wire/protobuf.ts";

/**
 * How many pages an entry covers. CRIU 4 counts in `nr_pages` and leaves `compat_nr_pages` 0; CRIU 3 knew only the latter.
 */
export const pageCount = ({ nr_pages, compat_nr_pages }: PagemapEntry): bigint => nr_pages ?? BigInt(compat_nr_pages);

/** {@link PE} bits of an entry; without flags, as early CRIUs wrote it, `in_parent` decides. */
export const pagemapFlags = ({ flags, in_parent }: PagemapEntry): number =>
	flags ?? (in_parent === true ? PE.PARENT : PE.PRESENT);

/**
 * Refuses an entry or head that says more than we understand: a layout that keeps the old fields and adds to them (pages
 * that are compressed, say) would otherwise be read as page after page at the wrong place.
 *
 * @throws NecromancerError ERR_IMAGE_VERSION.
 */
export function checkPagemap(record: PagemapHead | PagemapEntry, subject: string): void {
	const strange = record[unknownFields]?.[0];
	const flags = "vaddr" in record ? pagemapFlags(record) : 0;
	const finding =
		strange !== undefined
			? `has field ${fieldNumber(strange)}`
			: flags & ~(PE.PARENT | PE.LAZY | PE.PRESENT)
				? `has flags ${hex(flags)}`
				: undefined;
	if (finding === undefined) return;
	refuse("ERR_IMAGE_VERSION", {
		subject,
		finding: `the pagemap ${finding}, which this version does not know`,
		expectation: "expected pages as CRIU 4.2 lays them out",
		remedy: "dump without compressing pages, or with CRIU 4.2",
	});
}
