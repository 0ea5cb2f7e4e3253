import { type Extent, piecesOf } from "../../bytes/extent.ts";
import { array, layout, u32 } from "../../bytes/layout.ts";
import { loss } from "../../finding.ts";
import { AT_FDCWD, F } from "../../linux/fcntl.ts";
import { O, O_ACCMODE } from "../../linux/open.ts";
import type { Arg, Place } from "../../program/args.ts";
import { pathDatum, spaceDatum } from "../../program/data.ts";
import type { Fifo, Pipe, PipeEnd } from "../../task/files.ts";
import { addCloseOnExec, addDuplicate, addStatusFlags, type FdAllocator } from "./fd-allocator.ts";
import { nodeOf, ownFile } from "./named.ts";
import { openFlags } from "./open-flags.ts";
import type { FdSlot } from "./slots.ts";

/** What pipe2(2) fills; nobody reads it, since the numbers are known. */
const pipeEnds = layout("pipe ends", { fd: array(u32, 2) });

/** Bytes that are copied into a pipe at a time: what a pipe holds unless told otherwise. */
const CHUNK = 65536;

export interface PipeSlot extends FdSlot {
	readonly content: PipeEnd;
}

export interface Pipes {
	/** Gives its number to the end of a pipe, whose turn it is. */
	place(slot: PipeSlot): void;
	/** Opens a FIFO both ways until all are made, so that no end waits for its counterpart, and fills it. */
	hold(fifo: Fifo): void;
}

/** @param slots the first of each description, ascending. */
export function pipesOn(fds: FdAllocator, slots: readonly FdSlot[]): Pipes {
	const parked = new Map<string, Place>();
	const inPlace = new Set<string>();
	const made = new Set<number>();
	const held = new Set<number>();
	const ends = new Map<number, PipeSlot[]>();
	for (const slot of slots.filter(isPipeSlot)) {
		const { id } = slot.content.pipe;
		const known = ends.get(id);
		if (known === undefined) ends.set(id, [slot]);
		else known.push(slot);
	}
	const fill = filler(fds, slots);

	const make = (slot: PipeSlot): void => {
		const { pipe } = slot.content;
		if (made.has(pipe.id)) return;
		made.add(pipe.id);
		const all = ends.get(pipe.id) ?? [];
		const reader = all.find(({ content }) => (content.flags & O_ACCMODE) === O.RDONLY);
		const writer = all.find(({ content }) => (content.flags & O_ACCMODE) === O.WRONLY);
		const [low, high] = [fds.nextFree(), fds.nextFree(1)];
		const { draft } = fds.context;
		// a pipe that holds less than its content must fail, not wait for a reader
		const flags = pipe.content === undefined ? 0 : O.NONBLOCK;
		const both = spaceDatum(`ends of pipe ${pipe.id}`, pipeEnds.size, 4);
		fds.context.actor.asUser("files");
		fds.add("pipe2", [both, BigInt(flags)], `pipe ${pipe.id}, both ends`);
		if (pipe.content !== undefined && all.some(({ content }) => (content.flags & O.DIRECT) !== 0))
			draft.report(loss("pipe", `pipe ${pipe.id}`, "what waits in it is no longer cut into packets (O_DIRECT)"));
		fill(pipe, BigInt(high), "pipe");
		for (const extra of all) {
			if (extra === reader || extra === writer) continue;
			// as /dev/stdout in a pipeline: a pipe opened by its name in /proc is one more description of it (fs/pipe.c, fifo_open)
			const path = pathDatum(`an end of pipe ${pipe.id}`, ownFile(low));
			const how = BigInt(openFlags(extra.content.flags));
			fds.context.actor.asUser("files");
			const landed = fds.open("openat", [AT_FDCWD, path, how], `pipe ${pipe.id} opened once more`, 2);
			parked.set(extra.key, fds.setAside(landed, `end of pipe ${pipe.id} for ${extra.number}`));
		}
		const put = (end: PipeSlot | undefined, landed: number): void => {
			// as before: a reader finds the end of the pipe, a writer is told that nobody reads
			if (end === undefined) {
				fds.add("close", [BigInt(landed)], `nobody had this end of pipe ${pipe.id}`);
				if (all.some(({ content }) => (content.flags & O_ACCMODE) === O.RDWR)) return;
				const what = landed === low ? "writing to it fails with EPIPE" : "reading from it finds its end";
				draft.report(
					loss("pipe", `descriptor ${slot.number}`, `is a pipe whose other end the process had not; ${what}`),
				);
				return;
			}
			addStatusFlags(fds, BigInt(landed), flags, end.content.flags);
			const stays = end.number === landed;
			if (stays && end.closeOnExec) addCloseOnExec(fds, landed);
			if (!stays && end.key !== slot.key) {
				parked.set(end.key, fds.setAside(landed, `end of pipe ${pipe.id} for ${end.number}`));
				return;
			}
			fds.moveTo(landed, end.number, end.closeOnExec);
			inPlace.add(end.key);
		};
		// the slot's own end last: the other may be on its number
		if (slot.key === reader?.key) {
			put(writer, high);
			put(reader, low);
		} else {
			put(reader, low);
			put(writer, high);
		}
	};

	const hold = ({ file: { path }, pipe }: Fifo): void => {
		if (held.has(pipe.id)) return;
		held.add(pipe.id);
		const { number } = nodeOf(path, "files", fds.context);
		const landed = fds.open(
			"openat",
			[AT_FDCWD, pathDatum(`path of FIFO ${pipe.id}`, ownFile(number)), BigInt(O.RDWR | O.NONBLOCK | O.NOCTTY)],
			"both ends of a FIFO, so that no end waits for the other",
		);
		const fd = fds.setAside(landed, `both ends of FIFO ${pipe.id}`);
		fill(pipe, { valueOf: fd }, "fifo");
	};
	const place = (slot: PipeSlot): void => {
		make(slot);
		const { key, number, closeOnExec } = slot;
		const cell = parked.get(key);
		if (inPlace.has(key)) return;
		if (cell === undefined) throw new Error(`descriptor ${number} was not made with its pipe`);
		addDuplicate(fds, { valueOf: cell }, number, closeOnExec, "to its number");
	};
	return { place, hold };
}

const isPipeSlot = (slot: FdSlot): slot is PipeSlot => slot.content.kind === "pipe";

/** What writes into a pipe what it held. */
function filler(fds: FdAllocator, slots: readonly FdSlot[]): (pipe: Pipe, end: Arg, kind: "pipe" | "fifo") => void {
	const { inputs } = fds.context;
	const contents = slots.flatMap(({ content }) =>
		content.kind === "pipe" || content.kind === "fifo" ? (content.pipe.content ?? []) : [],
	);
	const buffer = contents.length === 0 ? undefined : spaceDatum("pipe buffer", CHUNK, 4096);
	const copy = (content: Extent, end: Arg, what: string): void => {
		if (buffer === undefined) return;
		const fd = { input: inputs.source(content.source) };
		for (const { offset, length } of piecesOf(content, BigInt(CHUNK))) {
			// not splice(2): pieces that are not aligned in the file take more of the pipe's slots than they need
			fds.add("pread64", [fd, buffer, length, offset], `what ${what} held`, { expect: { exactly: length } });
			fds.add("write", [end, buffer, length], `into ${what}`, { expect: { exactly: length } });
		}
	};
	return ({ id, capacity, content }, end, kind) => {
		// more than the kernel gives to anybody
		if (capacity !== undefined && capacity > CHUNK) fds.context.actor.asCaller("files");
		if (capacity !== undefined)
			fds.add("fcntl", [end, BigInt(F.SETPIPE_SZ), BigInt(capacity)], `room in ${kind} ${id}`);
		if (content !== undefined) copy(content, end, `${kind} ${id}`);
	};
}
