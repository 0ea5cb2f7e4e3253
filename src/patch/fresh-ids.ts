/** Ids of images are numbers of 32 bits (fixed32 and uint32 of CRIU's messages). */
export const LARGEST_ID = 0xffff_ffff;

/** Ids that are not among those taken, each once: behind the last where there is room, else in between. */
export function freshIds(taken: Iterable<number>): () => number {
	const used = new Set(taken);
	let last = 0;
	for (const id of used) if (id <= LARGEST_ID) last = Math.max(last, id);
	return () => {
		do last = last < LARGEST_ID ? last + 1 : 1;
		while (used.has(last));
		used.add(last);
		return last;
	};
}
