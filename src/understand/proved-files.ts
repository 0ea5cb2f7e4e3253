import type { Extent } from "../bytes/extent.ts";
import { type Description, pipeOf } from "../descriptors/kinds.ts";
import type { DescriptorGuess } from "../descriptors/stand-ins.ts";
import { standIn } from "../descriptors/stand-ins.ts";
import type { Finding } from "../finding.ts";
import type { Descriptor, Files } from "../forest/files.ts";
import type { PartialTask } from "../forest/partial-task.ts";

/**
 * A donor's files, and stand-ins for what the core proves besides: descriptors that a thread sleeps on or an event loop watches, of
 * numbers that the donor has not. They have ids that none of its descriptions and pipes has.
 */
export function withProvedFiles(
	files: Files,
	guesses: readonly DescriptorGuess[],
	dead: PartialTask,
	report: (finding: Finding) => void,
): Files {
	const open = new Set(files.descriptors.map(({ number }) => number));
	// a pair of sockets is nothing that images can hold; what was there once is better closed where all others are as they were
	const besides = guesses.filter(
		({ number, what, past }) => !open.has(number) && what.kind !== "socket" && past !== true,
	);
	if (besides.length === 0) return files;
	const [ids, pipes] = [lastId(files, ({ id }) => id), lastId(files, pipeId)];
	const added = besides.map((guess): Descriptor => {
		const { description: made, finding } = standIn(guess, anyByteOf(dead));
		report(finding);
		const { number, closeOnExec } = guess;
		const description: Description =
			made.kind === "pipe"
				? { ...made, id: ids + 1 + number, pipe: { ...made.pipe, id: pipes + 1 + made.pipe.id } }
				: { ...made, id: ids + 1 + number };
		return { number, closeOnExec, description };
	});
	const descriptors = [...files.descriptors, ...added].sort((a, b) => a.number - b.number);
	return { ...files, descriptors };
}

const lastId = ({ descriptors }: Files, idOf: (description: Description) => number): number =>
	descriptors.reduce((last, { description }) => Math.max(last, idOf(description)), 0);

const pipeId = (description: Description): number => pipeOf(description)?.id ?? 0;

/** A byte of the core, for where any will do. */
export const anyByteOf = ({ memory }: PartialTask): Extent | undefined =>
	memory.contents.find(({ available }) => available > 0n);
