import { cut, type Extent } from "../bytes/extent.ts";
import { array, layout, u32 } from "../bytes/layout.ts";
import { pathOfDescriptor } from "../bytes/own-descriptor.ts";
import { FdTypes } from "../criu/wire/generated/schema.ts";
import { caution, loss, note } from "../finding.ts";
import { AT_FDCWD, F, FD_CLOEXEC } from "../linux/fcntl.ts";
import { O, O_ACCMODE } from "../linux/open.ts";
import type { Arg, Place } from "../program/args.ts";
import { cellDatum, pathDatum, spaceDatum } from "../program/data.ts";
import type { DescriptionCommon } from "./description.ts";
import { commonFrom, partOf } from "./entries.ts";
import { commonOfGuess, type Guess, type StandIn, subjectOf } from "./guess.ts";
import { type DescriptorKind, linked } from "./kind.ts";
import { fillPipe, type Pipe } from "./pipe-queue.ts";
import { addDuplicate, addStatusFlags, type FdAllocator, openFlags, type Slot } from "./steps.ts";
import { keepAs, type Workshop } from "./workshop.ts";

/** The flags say which end. */
export interface PipeEnd extends DescriptionCommon {
	readonly kind: "pipe";
	readonly pipe: Pipe;
}

const LINK = "pipe:[";

export const pipe: DescriptorKind<PipeEnd> = {
	images: {
		types: [FdTypes.PIPE],
		from: (entry, images) => {
			const pipe = partOf(entry, entry.pipe, images);
			const { pipe_id: id } = pipe;
			return { kind: "pipe", ...commonFrom(pipe), pipe: { id, ...images.queues["pipes-data"].get(id) } };
		},
		to: ({ id, flags, pipe }, { owner: fown }) => ({
			type: FdTypes.PIPE,
			id,
			pipe: { id, pipe_id: pipe.id, flags, fown },
		}),
		queue: "pipes-data",
	},
	living: {
		see: (open) =>
			open.link.startsWith(LINK)
				? { describe: async (common, ask) => ({ kind: "pipe", ...common, pipe: await ask.pipe(open) }) }
				: undefined,
	},
	making: {
		unopenable: () => undefined,
		open: place,
		workshop: {
			made: (slots) =>
				byPipe(slots)
					.flat()
					.map((slot) => ({ key: endOf(slot), name: `pipe ${slot.content.pipe.id}` })),
			make: (slots, workshop) => {
				for (const ends of byPipe(slots)) make(ends, workshop);
			},
			waits: endOf,
		},
	},
	differs: linked(LINK),
	shares: ({ pipe }) => ({ of: "pipes", id: pipe.id }),
};

/**
 * What pipe2(2) fills, and a word of zeros. Either end is read as 64 bits: those behind the lower 32 are nothing to a call that
 * takes a descriptor.
 */
export const pipeEnds = layout("pipe ends", { fd: array(u32, 2), zero: u32 });

type Ends = readonly [Slot<PipeEnd>, ...Slot<PipeEnd>[]];

/** What the workshop keeps an end of a pipe under. */
function endOf({ content, key }: Slot<PipeEnd>): string {
	return `pipe ${content.pipe.id}, descriptor ${key}`;
}

/** The ends of each pipe, ascending. */
function byPipe(slots: readonly Slot<PipeEnd>[]): readonly Ends[] {
	const pipes = new Map<number, [Slot<PipeEnd>, ...Slot<PipeEnd>[]]>();
	for (const slot of slots) {
		const known = pipes.get(slot.content.pipe.id);
		if (known === undefined) pipes.set(slot.content.pipe.id, [slot]);
		else known.push(slot);
	}
	return [...pipes.values()];
}

/** A pipe with all its ends and what it held. */
function make(ends: Ends, workshop: Workshop): void {
	const { add, inputs, actor, report, behind } = workshop;
	const [{ number, content }] = ends;
	const { pipe } = content;
	const reader = ends.find(({ content }) => (content.flags & O_ACCMODE) === O.RDONLY);
	const writer = ends.find(({ content }) => (content.flags & O_ACCMODE) === O.WRONLY);
	const extras = ends.filter((end) => end !== reader && end !== writer);
	const both = spaceDatum(`ends of pipe ${pipe.id}`, pipeEnds.size, 4);
	const low: Arg = { valueOf: both };
	const high: Arg = { valueOf: { ...both, offset: u32.size } };
	// a pipe that holds less than its content must fail, not wait for a reader
	const flags = pipe.content === undefined ? 0 : O.NONBLOCK;
	actor.asUser();
	add("pipe2", [both, BigInt(flags | O.CLOEXEC)], `pipe ${pipe.id}, both ends`);
	if (pipe.content !== undefined && ends.some(({ content }) => (content.flags & O.DIRECT) !== 0))
		report(loss("pipe", `pipe ${pipe.id}`, "what waits in it is no longer cut into packets (O_DIRECT)"));
	fillPipe(workshop, pipe, high, "pipe");
	if (extras.length > 0) openAgain(extras);
	put(reader, low, "writing to it fails with EPIPE");
	put(writer, high, "reading from it finds its end");

	/** As /dev/stdout in a pipeline: a pipe opened by its name in /proc is one more description of it (fs/pipe.c, fifo_open). */
	function openAgain(extras: readonly Slot<PipeEnd>[]): void {
		const landed: Place = cellDatum(`one more end of pipe ${pipe.id}`);
		const kept = BigInt(behind);
		add("fcntl", [low, BigInt(F.DUPFD_CLOEXEC), kept], `pipe ${pipe.id} has a name in /proc`, {
			expect: { exactly: kept },
		});
		actor.asUser();
		for (const extra of extras) {
			const path = pathDatum(`an end of pipe ${pipe.id}`, pathOfDescriptor(behind));
			const how = BigInt(openFlags(extra.content.flags) | O.CLOEXEC);
			add("openat", [AT_FDCWD, path, how], `pipe ${pipe.id} opened once more`, { save: landed });
			keepAs(add, { valueOf: landed }, inputs.made(endOf(extra)).number, `end of pipe ${pipe.id}`);
		}
		add("close", [kept], `all ends of pipe ${pipe.id} are open`);
	}

	function put(end: Slot<PipeEnd> | undefined, landed: Arg, consequence: string): void {
		// as before: a reader finds the end of the pipe, a writer is told that nobody reads
		if (end === undefined) {
			add("close", [landed], `nobody had this end of pipe ${pipe.id}`);
			if (ends.some(({ content }) => (content.flags & O_ACCMODE) === O.RDWR)) return;
			report(loss("pipe", `descriptor ${number}`, `is a pipe whose other end the process had not; ${consequence}`));
			return;
		}
		addStatusFlags({ add }, landed, flags, end.content.flags);
		keepAs(add, landed, inputs.made(endOf(end)).number, `end of pipe ${pipe.id}`);
	}
}

/** Gives its number to the end of a pipe. */
function place(slot: Slot<PipeEnd>, fds: FdAllocator): void {
	const { number, closeOnExec, content } = slot;
	const { id } = content.pipe;
	const input = fds.inputs.made(endOf(slot));
	if (input.number === number)
		fds.add("fcntl", [BigInt(number), BigInt(F.SETFD), BigInt(closeOnExec ? FD_CLOEXEC : 0)], `pipe ${id} waits there`);
	else addDuplicate(fds, { input }, number, closeOnExec, `descriptor ${number}, pipe ${id}`);
}

/** One end of a pipe; `lock`: a byte waits in it. */
export interface EndGuess {
	readonly kind: "end";
	readonly pipe: number;
	readonly access: number;
	readonly lock?: boolean;
}

export function endStandIn(guess: Guess<EndGuess>, anyByte: Extent | undefined): StandIn<PipeEnd> {
	const { what, why, flags } = guess;
	const content = what.lock === true && anyByte !== undefined ? { content: cut(anyByte, 0n, 1n) } : {};
	return {
		description: {
			...{ ...commonOfGuess(guess), flags: flags | what.access, kind: "pipe" },
			pipe: { id: what.pipe, ...content },
		},
		finding: note(
			"descriptor-deduced",
			subjectOf(guess),
			`the ${what.access === O.RDONLY ? "reading" : "writing"} end of a pipe (${why})`,
		),
	};
}

/** Something to wait on of which the kind is not known: a pipe open both ways, in which nothing ever comes. */
export interface SilenceGuess {
	readonly kind: "silence";
}

export function silenceStandIn(guess: Guess<SilenceGuess>): StandIn<PipeEnd> {
	const { number, why, awaited = false } = guess;
	const what = `of a kind that a core does not tell (${why}); a pipe stands in, from which nothing comes`;
	return {
		description: { ...commonOfGuess(guess), kind: "pipe", pipe: { id: number } },
		finding: awaited
			? loss("descriptor-deduced", subjectOf(guess), `${what}: it waits for ever`)
			: caution("descriptor-deduced", subjectOf(guess), what),
	};
}
