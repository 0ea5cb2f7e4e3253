import type { Epoll } from "../../descriptors/epoll.ts";
import type { DescriptorGuess, GuessedKind } from "../../descriptors/stand-ins.ts";
import { type Finding, note } from "../../finding.ts";
import type { Files } from "../../forest/files.ts";

/**
 * The donor's epoll instances with what the core proves that they watched, before what the donor's did: an event loop has a list of
 * its own. What the donor has not open cannot be watched.
 */
export function withProvenTargets(
	files: Files,
	proven: readonly DescriptorGuess[],
	report: (finding: Finding) => void,
): Files {
	const open = new Set(files.descriptors.map(({ number }) => number));
	const changed = new Map<number, Epoll>();
	for (const { number, what, why } of proven) {
		const lent = files.descriptors.find((descriptor) => descriptor.number === number)?.description;
		if (what.kind !== "epoll" || lent?.kind !== "epoll") continue;
		const targets = merged(lent, what, open);
		if (sameTargets(targets, lent.targets)) continue;
		const watched = targets.length === 0 ? "nothing" : targets.map((target) => target.number).join(", ");
		report(note("epoll", `epoll descriptor ${number}`, `watches ${watched}, as the core says (${why})`));
		changed.set(lent.id, { ...lent, targets });
	}
	if (changed.size === 0) return files;
	const descriptors = files.descriptors.map((descriptor) => {
		const description = changed.get(descriptor.description.id);
		return description === undefined ? descriptor : { ...descriptor, description };
	});
	return { ...files, descriptors };
}

function merged(
	lent: Epoll,
	{ targets, complete }: Extract<GuessedKind, { readonly kind: "epoll" }>,
	open: ReadonlySet<number>,
): Epoll["targets"] {
	const own = targets.filter(({ number }) => open.has(number));
	const known = new Set(targets.map(({ number }) => number));
	const others = complete === true ? [] : lent.targets.filter(({ number }) => !known.has(number));
	return [...own, ...others].sort((a, b) => a.number - b.number);
}

const sameTargets = (some: Epoll["targets"], others: Epoll["targets"]): boolean =>
	some.length === others.length &&
	some.every(({ number, events, data }) =>
		others.some((other) => other.number === number && other.events === events && other.data === data),
	);
