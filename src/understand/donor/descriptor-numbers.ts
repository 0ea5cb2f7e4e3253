import { syscallName } from "../../arch/x86-64/syscalls.ts";
import { defined } from "../../bytes/defined.ts";
import { readAt } from "../../bytes/extent.ts";
import type { Description } from "../../descriptors/kinds.ts";
import type { DescriptorGuess } from "../../descriptors/stand-ins.ts";
import { caution, type Finding, loss, note } from "../../finding.ts";
import type { Descriptor } from "../../forest/files.ts";
import type { Task } from "../../forest/task.ts";
import { canSleepIn } from "../evidence/sleepable.ts";
import { type Wait, waitsOf } from "../evidence/waits.ts";

/** The numbers that a donor's descriptors have in the dead process: those that differ, by the donor's. */
export type MovedNumbers = ReadonlyMap<number, number>;

/**
 * Which numbers the donor's descriptors had in the dead process. Programs open their files in one order, but threads that start
 * at once open theirs in any: then the donor contradicts what the dead process's threads slept in, or what its event loops say.
 * Who sleeps in the same call in both tells which descriptor it is, and all others keep their order around these.
 *
 * @param waits of the dead process.
 * @param proven of the dead process; those whose kind is certain.
 */
export function movedNumbers(
	waits: readonly Wait[],
	donor: Task,
	proven: readonly DescriptorGuess[],
	report: (finding: Finding) => void,
): MovedNumbers {
	const { descriptors } = donor.files;
	const claims = [...waits.map(claimOfWait), ...proven.flatMap(claimOfGuess)];
	const kinds = new Map(descriptors.map(({ number, description }) => [number, description.kind]));
	const wrong = claims.filter((claim) => contradicts(claim, kinds));
	if (wrong.length === 0) return new Map();
	const fits = (numbers: MovedNumbers): boolean => {
		const moved = new Map([...kinds].map(([number, kind]) => [numbers.get(number) ?? number, kind]));
		return !claims.some((claim) => contradicts(claim, moved));
	};
	const known = sameSleepers(waits, donorWaits(donor));
	// any order has to change these first
	const right = claims.filter((claim) => !contradicts(claim, kinds));
	const ways = orders(descriptors, [...wrong, ...right], known);
	const [only] = ways;
	const subject = "numbers of descriptors";
	const toldOf = new Set(known.values());
	const told = wrong.every(({ number }) => toldOf.has(number));
	const all = told && ways.length === 0 ? around(descriptors, known) : undefined;
	if (only !== undefined && ways.length === 1) {
		report(
			told
				? note("files-from-donor", subject, `${wordsOf(only)}, as threads sleep in the same calls in both`)
				: caution(
						"files-from-donor",
						subject,
						`${wordsOf(only)}: no other order of the donor's fits what the core proves`,
					),
		);
		return only;
	}
	if (all !== undefined && fits(all)) {
		const text = `${wordsOf(all)}, as threads sleep in the same calls in both; that the others keep their order is likely`;
		report(caution("files-from-donor", subject, text));
		return all;
	}
	for (const { number, words } of wrong)
		report(
			loss(
				"files-from-donor",
				`descriptor ${number}`,
				`${words}, which the donor's (${kinds.get(number)}) is not for; which of the donor's it was is not known`,
			),
		);
	return new Map();
}

const wordsOf = (numbers: MovedNumbers): string =>
	[...numbers].map(([from, to]) => `the donor's ${from} is ${to}`).join(", ");

/** What a core says of a descriptor. */
interface Claim {
	readonly number: number;
	readonly words: string;
	allows(kind: Description["kind"]): boolean;
}

const claimOfWait = (wait: Wait): Claim => ({
	number: wait.descriptor,
	words: `thread ${wait.tid} slept in ${wait.call} on it`,
	allows: (kind) => canSleepIn(wait, kind),
});

function claimOfGuess({ number, what, why, guessed }: DescriptorGuess): Claim[] {
	const kinds = guessed === true ? undefined : kindsOf[what.kind];
	return kinds === undefined ? [] : [{ number, words: `it was ${why}`, allows: (kind) => kinds.includes(kind) }];
}

const kindsOf: Readonly<Record<DescriptorGuess["what"]["kind"], readonly Description["kind"][] | undefined>> = {
	epoll: ["epoll"],
	eventfd: ["eventfd"],
	end: ["pipe", "fifo"],
	socket: ["unix-socket", "socket-pair"],
	silence: undefined,
};

/** A number that the donor has not contradicts nothing: the dead process had opened more. */
function contradicts({ number, allows }: Claim, kinds: ReadonlyMap<number, Description["kind"]>): boolean {
	const kind = kinds.get(number);
	return kind !== undefined && !allows(kind);
}

/** The same donor with its descriptors under those numbers; what its epoll instances watch still has the old ones. */
export function withNumbers(donor: Task, numbers: MovedNumbers): Task {
	if (numbers.size === 0) return donor;
	const descriptors = donor.files.descriptors
		.map((descriptor) => ({ ...descriptor, number: numbers.get(descriptor.number) ?? descriptor.number }))
		.sort((a, b) => a.number - b.number);
	const locks = donor.files.locks?.map((lock) => {
		const descriptor = numbers.get(lock.descriptor) ?? lock.descriptor;
		return { ...lock, descriptor };
	});
	return { ...donor, files: { ...donor.files, descriptors, ...defined({ locks }) } };
}

/** What a donor's threads sleep in: their calls are wound back, or will return EINTR. */
const donorWaits = ({ threads, memory }: Task): Wait[] =>
	threads.flatMap(({ tid, registers }) => {
		const asleep = BigInt.asIntN(64, registers.ax) < 0n || registers.ax === registers.orig_ax;
		if (!asleep) return [];
		const call = syscallName(registers.orig_ax);
		if (call === undefined) return [];
		return waitsOf([{ tid, call, registers }], { read: (at, length) => readAt(memory.contents, at, length) });
	});

/** The dead process's numbers by the donor's, of calls in which as many threads sleep here and there. */
function sameSleepers(own: readonly Wait[], theirs: readonly Wait[]): MovedNumbers {
	const found = new Map<number, number>();
	const roles = byRole(theirs);
	for (const [role, here] of byRole(own)) {
		const there = roles.get(role) ?? [];
		if (here.length !== there.length) continue;
		// the same numbers in both: threads may have started in another order
		const numbers = new Set(here.map(({ descriptor }) => descriptor));
		const unmoved = there.every((wait) => numbers.has(wait.descriptor));
		for (const [i, { descriptor }] of there.entries()) {
			const number = unmoved ? descriptor : (here[i]?.descriptor ?? descriptor);
			// two that cannot both be right: neither is known
			if ((found.get(descriptor) ?? number) !== number) return new Map();
			found.set(descriptor, number);
		}
	}
	return new Set(found.values()).size === found.size ? found : new Map();
}

function byRole(waits: readonly Wait[]): ReadonlyMap<string, readonly Wait[]> {
	const roles = new Map<string, Wait[]>();
	for (const wait of waits) {
		const role = roles.get(roleOf(wait));
		if (role === undefined) roles.set(roleOf(wait), [wait]);
		else role.push(wait);
	}
	return roles;
}

const roleOf = ({ call, count }: Wait): string => (count === undefined ? call : `${call} ${count}`);

/** A descriptor that was opened earlier or later than in the donor, by its place in the donor's list; those between make room. */
interface Move {
	readonly from: number;
	readonly to: number;
}

/** Which of the donor's is at a place after the move. */
function cameTo(at: number, { from, to }: Move): number {
	if (at === to) return from;
	if (from <= at && at < to) return at + 1;
	return to < at && at <= from ? at - 1 : at;
}

/** So often a claim is looked at: a server's donor has thousands of descriptors, and as many squared orders. */
const MOST_LOOKS = 1 << 25;

/**
 * The orders in which one descriptor was opened earlier or later than in the donor, and which fit: two at most, for of several none
 * is known. None where there are too many to try.
 */
function orders(
	descriptors: readonly Descriptor[],
	claims: readonly Claim[],
	known: MovedNumbers,
): readonly MovedNumbers[] {
	const places = new Map(descriptors.map(({ number }, place) => [number, place]));
	const placed = claims.flatMap((claim) => {
		const place = places.get(claim.number);
		return place === undefined ? [] : [{ place, claim }];
	});
	const told = [...known].map(([from, to]) => ({ from: places.get(from), to: places.get(to), same: from === to }));
	let looks = 0;
	const fits = (move: Move): boolean =>
		placed.every(({ place, claim }) => {
			looks++;
			const kind = descriptors[cameTo(place, move)]?.description.kind;
			return kind === undefined || claim.allows(kind);
		}) &&
		told.every(({ from, to, same }) => (from === undefined ? same : to !== undefined && cameTo(to, move) === from));
	const ways = new Map<string, MovedNumbers>();
	// standard ones were open before the program began
	const movable = [...places].filter(([number]) => number > 2);
	const all = movable.map(([, place]) => place);
	for (const [number, from] of movable) {
		const own = known.get(number);
		const targets = own === undefined ? all : [places.get(own)];
		for (const to of targets) {
			if (looks > MOST_LOOKS) return [];
			if (to === undefined || !fits({ from, to })) continue;
			const order = around(descriptors, new Map([[number, descriptors[to]?.number ?? number]]));
			if (order !== undefined) ways.set(wordsOf(order), order);
			if (ways.size > 1) return [...ways.values()];
		}
	}
	return [...ways.values()];
}

/** All numbers, where some are known: the others keep their order. */
function around(descriptors: readonly Descriptor[], known: MovedNumbers): MovedNumbers | undefined {
	const taken = new Set(known.values());
	const others = descriptors.map(({ number }) => number).filter((number) => !known.has(number));
	const free = descriptors.map(({ number }) => number).filter((number) => !taken.has(number));
	// a number that the donor had not is no exchange of its own
	if (free.length !== others.length) return undefined;
	const all = [...known, ...others.map((number, i) => [number, free[i] ?? number] as const)];
	return new Map(all.filter(([from, to]) => from !== to).sort(([a], [b]) => a - b));
}
