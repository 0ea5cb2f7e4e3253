import { syscallName } from "../../arch/x86-64/syscalls.ts";
import { readAt } from "../../bytes/extent.ts";
import { caution, type Finding, loss, note } from "../../finding.ts";
import type { Description, Descriptor } from "../../forest/files.ts";
import type { Task } from "../../forest/task.ts";
import type { DescriptorGuess } from "../evidence/descriptor-guess.ts";
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
	const told = around(descriptors, sameSleepers(waits, donorWaits(donor)));
	const certain = told !== undefined && fits(told) ? told : undefined;
	const numbers = certain ?? onlyMove(descriptors, wrong, fits);
	if (numbers === undefined) {
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
	const moves = [...numbers].map(([from, to]) => `the donor's ${from} is ${to}`).join(", ");
	const subject = "numbers of descriptors";
	report(
		certain === undefined
			? caution("files-from-donor", subject, `${moves}: no other order of the donor's fits what the core proves`)
			: note("files-from-donor", subject, `${moves}, as threads sleep in the same calls in both`),
	);
	return numbers;
}

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
	return { ...donor, files: { ...donor.files, descriptors } };
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
function sameSleepers(own: readonly Wait[], theirs: readonly Wait[]): MovedNumbers | undefined {
	const found = new Map<number, number>();
	for (const role of new Set(own.map(roleOf))) {
		const here = own.filter((wait) => roleOf(wait) === role);
		const there = theirs.filter((wait) => roleOf(wait) === role);
		if (here.length !== there.length) continue;
		// the same numbers in both: threads may have started in another order
		const unmoved = there.every((wait) => here.some(({ descriptor }) => descriptor === wait.descriptor));
		for (const [i, { descriptor }] of there.entries()) {
			const number = unmoved ? descriptor : (here[i]?.descriptor ?? descriptor);
			if ((found.get(descriptor) ?? number) !== number) return undefined;
			found.set(descriptor, number);
		}
	}
	return new Set(found.values()).size === found.size ? found : undefined;
}

const roleOf = ({ call, count }: Wait): string => (count === undefined ? call : `${call} ${count}`);

/** All numbers, where some are known: the others keep their order. */
function around(descriptors: readonly Descriptor[], known: MovedNumbers | undefined): MovedNumbers | undefined {
	if (known === undefined) return undefined;
	const taken = new Set(known.values());
	const others = descriptors.map(({ number }) => number).filter((number) => !known.has(number));
	const free = descriptors.map(({ number }) => number).filter((number) => !taken.has(number));
	// a number that the donor had not is no exchange of its own
	if (free.length !== others.length) return undefined;
	return differing([...known, ...others.map((number, i) => [number, free[i] ?? number] as const)]);
}

/** One descriptor that was opened earlier or later, if there is one way only to make all fit. */
function onlyMove(
	descriptors: readonly Descriptor[],
	wrong: readonly Claim[],
	fits: (numbers: MovedNumbers) => boolean,
): MovedNumbers | undefined {
	const ways = new Map<string, MovedNumbers>();
	for (const { number: to } of wrong)
		for (const { number: from } of descriptors) {
			const numbers = around(descriptors, new Map([[from, to]]));
			if (numbers !== undefined && fits(numbers)) ways.set([...numbers].join(" "), numbers);
		}
	const [only] = ways.values();
	return ways.size === 1 ? only : undefined;
}

const differing = (numbers: readonly (readonly [number, number])[]): MovedNumbers =>
	new Map(numbers.filter(([from, to]) => from !== to).sort(([a], [b]) => a - b));
