import { FdTypes } from "../criu/wire/generated/schema.ts";
import { caution, type Finding, loss, note } from "../finding.ts";
import { EPERM } from "../linux/errno.ts";
import { EPOLL_CTL_ADD, epollEvent } from "../linux/poll.ts";
import { bytesDatum } from "../program/data.ts";
import type { StepOptions } from "../program/program.ts";
import type { DescriptionCommon } from "./description.ts";
import { commonFrom, partOf } from "./entries.ts";
import { commonOfGuess, type Guess, type StandIn, subjectOf } from "./guess.ts";
import { type DescriptorKind, linked, type Neighbour } from "./kind.ts";
import { addNew, addStatusFlags, type Opening, type Slot } from "./steps.ts";

export interface Epoll extends DescriptionCommon {
	readonly kind: "epoll";
	readonly targets: readonly EpollTarget[];
}

export interface EpollTarget {
	/** The descriptor it watches, by number. */
	readonly number: number;
	/** EPOLL flags. */
	readonly events: number;
	/** The program's cookie. */
	readonly data: bigint;
}

const LINK = "anon_inode:[eventpoll]";

export const epoll: DescriptorKind<Epoll> = {
	images: {
		types: [FdTypes.EVENTPOLL],
		from: (entry, images) => {
			const epfd = partOf(entry, entry.epfd, images);
			const targets = epfd.tfd.map(({ tfd, events, data }) => ({ number: tfd, events, data }));
			return { kind: "epoll", ...commonFrom(epfd), targets };
		},
		to: ({ id, flags, targets }, { owner: fown, numbers, report, subject }) => {
			const lost = targets.filter(({ number }) => !numbers.has(number));
			for (const { number } of lost)
				report(loss("not-in-images", subject, `watched ${number}, which is closed now and open elsewhere`));
			const tfd = targets
				.filter((target) => !lost.includes(target))
				.map(({ number, events, data }) => ({ id: 0, tfd: number, events, data }));
			return { type: FdTypes.EVENTPOLL, id, epfd: { id, flags, fown, tfd } };
		},
	},
	living: {
		see: ({ number, link, info }) =>
			link === LINK
				? {
						describe: (common, { isLost, report }) => {
							const subject = `descriptor ${number}`;
							for (const target of info.targets.filter(({ number }) => isLost(number)))
								report(loss("descriptor-dropped", subject, `no longer watches ${target.number}, which is not dumped`));
							return { kind: "epoll", ...common, targets: info.targets.filter(({ number }) => !isLost(number)) };
						},
					}
				: undefined,
	},
	making: {
		unopenable: () => undefined,
		open: (slot, fds) => {
			const { number, content } = slot;
			addNew(fds, slot, "epoll_create1", (closing) => [BigInt(closing)], `descriptor ${number}`);
			addStatusFlags(fds, BigInt(number), 0, content.flags);
		},
		finish: watch,
	},
	differs: linked(LINK),
};

function watch({ number, content }: Slot<Epoll>, { add, report }: Opening, all: ReadonlyMap<number, Neighbour>): void {
	const watched = new Set<number>();
	for (const target of content.targets) {
		const neighbour = all.get(target.number);
		const lost = (why: string): void =>
			report(loss("epoll", `epoll descriptor ${number}`, `no longer watches ${target.number}, ${why}`));
		if (neighbour === undefined) {
			// the number was closed while a duplicate kept the file: it is watched on (epoll(7)), but cannot be added without one
			lost("which is not open");
			continue;
		}
		if (watched.has(target.number)) {
			lost("which stands for two files");
			continue;
		}
		watched.add(target.number);
		if (neighbour.null) {
			lost("which is /dev/null now");
			continue;
		}
		const event = bytesDatum(
			`event of ${target.number} for ${number}`,
			epollEvent.encode({ events: target.events, data: target.data }),
		);
		// what has a name may be one that cannot be watched: another file took the place, or the number
		const options: StepOptions = neighbour.named ? { expect: { successOr: EPERM } } : {};
		add(
			"epoll_ctl",
			[BigInt(number), BigInt(EPOLL_CTL_ADD), BigInt(target.number), event],
			`${number} watches ${target.number}`,
			options,
		);
	}
}

/** `complete`: what else it is to watch, the program adds itself. */
export interface EpollGuess {
	readonly kind: "epoll";
	readonly targets: readonly EpollTarget[];
	readonly complete?: true;
}

export const epollStandIn = (guess: Guess<EpollGuess>): StandIn<Epoll> => ({
	description: { ...commonOfGuess(guess), kind: "epoll", targets: guess.what.targets },
	finding: guessFinding(guess),
});

function guessFinding(guess: Guess<EpollGuess>): Finding {
	const { what, why, awaited = false } = guess;
	const { targets, complete } = what;
	const subject = subjectOf(guess);
	const watched = targets.length === 0 ? "nothing yet" : targets.map(({ number }) => number).join(", ");
	if (complete === true)
		return note("descriptor-deduced", subject, `an epoll instance (${why}) that watches ${watched}`);
	if (targets.length === 0 && awaited)
		return loss(
			"descriptor-deduced",
			subject,
			`an epoll instance (${why}); what it watched is not known, and no timeout ends the wait: it waits for ever`,
		);
	return caution(
		"descriptor-deduced",
		subject,
		targets.length === 0
			? `an epoll instance (${why}); what it watched is not known, so it only wakes for timeouts`
			: `an epoll instance (${why}) that watches ${watched}; what else it watched is not known`,
	);
}
