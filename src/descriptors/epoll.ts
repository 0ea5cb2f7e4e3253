import { FdTypes } from "../criu/wire/generated/schema.ts";
import { caution, type Finding, loss, note } from "../finding.ts";
import { EPERM } from "../linux/errno.ts";
import { F } from "../linux/fcntl.ts";
import { EPOLL_CTL_ADD, epollEvent } from "../linux/poll.ts";
import type { Arg } from "../program/args.ts";
import { bytesDatum, cellDatum } from "../program/data.ts";
import type { StepOptions } from "../program/program.ts";
import type { Ask, OpenDescriptor } from "./ask.ts";
import type { DescriptionCommon } from "./description.ts";
import { commonFrom, partOf } from "./entries.ts";
import { commonOfGuess, type Guess, type StandIn, subjectOf } from "./guess.ts";
import { type DescriptorKind, linked, type Neighbour } from "./kind.ts";
import { addDuplicate, addNew, addStatusFlags, type Opening, type Slot } from "./steps.ts";

export interface Epoll extends DescriptionCommon {
	readonly kind: "epoll";
	readonly targets: readonly EpollTarget[];
}

export interface EpollTarget {
	/** The descriptor it watches, by the number that it had when it was added. */
	readonly number: number;
	/** The descriptor by which that file is open now, where it is another. */
	readonly at?: number;
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
			const before = new Map(images.beside.file(entry.id)?.watches?.map(({ index, number }) => [index, number]));
			const targets = epfd.tfd.map(({ tfd, events, data }, i): EpollTarget => {
				const number = before.get(i) ?? tfd;
				return { number, ...(number === tfd ? {} : { at: tfd }), events, data };
			});
			return { kind: "epoll", ...commonFrom(epfd), targets };
		},
		to: ({ id, flags, targets }, { owner: fown, numbers, report, subject }) => {
			const lost = targets.filter(({ number, at = number }) => !numbers.has(at));
			for (const { number } of lost)
				report(loss("not-in-images", subject, `watched ${number}, which is closed now and open elsewhere`));
			const tfd = targets
				.filter((target) => !lost.includes(target))
				.map(({ number, at = number, events, data }) => ({ id: 0, tfd: at, events, data }));
			return { type: FdTypes.EVENTPOLL, id, epfd: { id, flags, fown, tfd } };
		},
		beside: ({ targets }) => {
			const watches = targets.flatMap(({ number, at }, index) => (at === undefined ? [] : [{ index, number }]));
			return watches.length === 0 ? undefined : { watches };
		},
	},
	living: {
		see: (open) =>
			open.link === LINK
				? { describe: async (common, ask) => ({ kind: "epoll", ...common, targets: await targetsOf(open, ask) }) }
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
		passing: ({ targets }) => targets.map(({ number }) => number),
	},
	differs: linked(LINK),
};

/** Numbers may have been closed since, and given to other files: what is watched is the file. */
async function targetsOf(open: OpenDescriptor, { watched, isLost, report }: Ask): Promise<readonly EpollTarget[]> {
	const { number, info } = open;
	const subject = `descriptor ${number}`;
	if (info.targets.length === 0) return [];
	const places = await watched(open);
	return info.targets.flatMap(({ number, events, data }, i): EpollTarget[] => {
		const at = places[i];
		if (at === undefined)
			report(
				loss("epoll", subject, `watched what was open as ${number}, which is closed now, and open nowhere else in it`),
			);
		else if (isLost(at)) report(loss("descriptor-dropped", subject, `no longer watches ${at}, which is not dumped`));
		else return [{ number, ...(at === number ? {} : { at }), events, data }];
		return [];
	});
}

function watch({ number, content }: Slot<Epoll>, opening: Opening, all: ReadonlyMap<number, Neighbour>): void {
	const { add, report } = opening;
	const watched = new Set<string>();
	for (const target of content.targets) {
		const { number: key, at = key } = target;
		const neighbour = all.get(at);
		const lost = (why: string): void =>
			report(loss("epoll", `epoll descriptor ${number}`, `no longer watches ${at}, ${why}`));
		if (neighbour === undefined) {
			// the number was closed while a duplicate kept the file: it is watched on (epoll(7)), but cannot be added without one
			lost("which is not open");
			continue;
		}
		if (watched.has(`${key} ${at}`)) {
			lost("which stands for two files");
			continue;
		}
		watched.add(`${key} ${at}`);
		if (neighbour.null) {
			lost("which is /dev/null now");
			continue;
		}
		if (neighbour.late) {
			lost("which is opened again when it is too late for that");
			continue;
		}
		const event = bytesDatum(
			`event of ${at} for ${number}`,
			epollEvent.encode({ events: target.events, data: target.data }),
		);
		// what has a name may be one that cannot be watched: another file took the place, or the number
		const options: StepOptions = neighbour.named ? { expect: { successOr: EPERM } } : {};
		const watchIt = (epoll: Arg): void =>
			add(
				"epoll_ctl",
				[epoll, BigInt(EPOLL_CTL_ADD), BigInt(key), event],
				key === at ? `${number} watches ${key}` : `${number} watches ${at}, which was ${key}`,
				options,
			);
		if (key === at) watchIt(BigInt(number));
		// the number may be the instance's own by now
		else underNumber(opening, at, key, all.get(key), (there) => watchIt(key === number ? there : BigInt(number)));
	}
}

/**
 * Has a file under a number for a moment: an epoll instance knows it by both.
 *
 * @param there whatever has that number.
 * @param act is told where that is meanwhile.
 */
function underNumber(
	opening: Opening,
	at: number,
	number: number,
	there: Neighbour | undefined,
	act: (there: Arg) => void,
): void {
	const { add } = opening;
	const kept = { valueOf: cellDatum(`what ${number} is`) };
	if (there !== undefined)
		add("fcntl", [BigInt(number), BigInt(F.DUPFD_CLOEXEC), 0n], `${number} out of the way`, { save: kept.valueOf });
	addDuplicate(opening, BigInt(at), number, true, `${at} as ${number}, which it was when it was watched first`);
	act(kept);
	if (there === undefined) {
		add("close", [BigInt(number)], `${number} is closed`);
		return;
	}
	addDuplicate(opening, kept, number, there.closeOnExec, `${number} as it is`);
	add("close", [kept], `${number} as it is`);
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
