import type { Epoll, EpollTarget } from "../../descriptors/epoll.ts";
import type { DescriptorGuess, GuessedKind } from "../../descriptors/stand-ins.ts";
import { type Finding, note } from "../../finding.ts";
import { type Files, withDescriptions } from "../../forest/files.ts";

/**
 * The donor's epoll instances with what the core proves that they watched, before what the donor's did: an event loop has a list of
 * its own. What the donor has not open cannot be watched.
 */
export function withProvenTargets(
	files: Files,
	proven: readonly DescriptorGuess[],
	report: (finding: Finding) => void,
): Files {
	const open = new Map(files.descriptors.map(({ number, description }) => [number, description]));
	const changed = new Map<number, Epoll>();
	for (const { number, what, why } of proven) {
		const lent = open.get(number);
		if (what.kind !== "epoll" || lent?.kind !== "epoll") continue;
		const targets = merged(lent, what, open);
		if (sameTargets(targets, lent.targets)) continue;
		const watched = targets.length === 0 ? "nothing" : targets.map((target) => target.number).join(", ");
		report(note("epoll", `epoll descriptor ${number}`, `watches ${watched}, as the core says (${why})`));
		changed.set(lent.id, { ...lent, targets });
	}
	return changed.size === 0 ? files : withDescriptions(files, (lent) => changed.get(lent.id) ?? lent);
}

function merged(
	lent: Epoll,
	{ targets, complete }: Extract<GuessedKind, { readonly kind: "epoll" }>,
	open: ReadonlyMap<number, unknown>,
): Epoll["targets"] {
	const own = targets.filter(({ number }) => open.has(number));
	const known = new Set(targets.map(({ number }) => number));
	const others = complete === true ? [] : lent.targets.filter(({ number }) => !known.has(number));
	return [...own, ...others].sort((a, b) => a.number - b.number);
}

function sameTargets(some: Epoll["targets"], others: Epoll["targets"]): boolean {
	const wordsOf = ({ number, events, data }: EpollTarget): string => `${number} ${events} ${data}`;
	const known = new Set(others.map(wordsOf));
	return some.length === others.length && some.every((target) => known.has(wordsOf(target)));
}
