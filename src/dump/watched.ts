import type { OpenDescriptor } from "../descriptors/ask.ts";
import type { DescriptorCopies } from "../trace/descriptors.ts";

/**
 * By which descriptor each file that an epoll instance watches is open: numbers are from when it was added, and may have been closed
 * since, or be another file's by now. `undefined` for what no descriptor of the process shows any more.
 *
 * @param open all descriptors of the process.
 */
export async function watchedBy(
	{ number: epoll, info: { targets } }: OpenDescriptor,
	open: readonly OpenDescriptor[],
	copies: DescriptorCopies,
): Promise<readonly (number | undefined)[]> {
	const numbers = new Set(open.map(({ number }) => number));
	// those of one number are told apart by their order, which fdinfo has too (fs/eventpoll.c)
	const met = new Map<number, number>();
	const slots = targets.map(({ number }) => {
		const which = met.get(number) ?? 0;
		met.set(number, which + 1);
		return { number, which };
	});
	const own = await copies.isWatched(
		epoll,
		slots.map((slot) => ({ ...slot, descriptor: slot.number })),
	);
	// where the kernel does not tell, an open number is taken for it
	const found = targets.map(({ number }, i) => (own[i] !== false && numbers.has(number) ? number : undefined));
	const left = targets.flatMap(({ inode }, i) =>
		found[i] !== undefined || own[i] === undefined
			? []
			: open.flatMap(({ number, stat }) =>
					inode === undefined || stat.ino === inode ? [{ i, descriptor: number }] : [],
				),
	);
	const answers = await copies.isWatched(
		epoll,
		left.map(({ i, descriptor }) => ({ descriptor, ...(slots[i] ?? { number: -1, which: 0 }) })),
	);
	for (const [n, { i, descriptor }] of left.entries()) if (answers[n] === true) found[i] ??= descriptor;
	return found;
}
