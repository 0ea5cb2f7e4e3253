import { type Extent, piecesOf } from "../../bytes/extent.ts";
import { array, layout, u32 } from "../../bytes/layout.ts";
import { pathOfDescriptor } from "../../bytes/own-descriptor.ts";
import { loss } from "../../finding.ts";
import type { Fifo, Files, Pipe, PipeEnd } from "../../forest/files.ts";
import type { Task } from "../../forest/task.ts";
import { AT_FDCWD, F, FD_CLOEXEC } from "../../linux/fcntl.ts";
import { O, O_ACCMODE } from "../../linux/open.ts";
import type { Arg, Place } from "../../program/args.ts";
import { cellDatum, pathDatum, spaceDatum } from "../../program/data.ts";
import type { Context } from "../context.ts";
import type { MadeInput } from "../inputs.ts";
import { type Actor, actorOf } from "../opener.ts";
import type { ListDraft, Part } from "../part.ts";
import { WORKSHOP } from "../plan.ts";
import { addDuplicate, addStatusFlags, type FdAllocator } from "./fd-allocator.ts";
import { keepAs } from "./keep-as.ts";
import { openFlags } from "./open-flags.ts";
import { type FdSlot, type FilePolicy, slotsOf } from "./slots.ts";

/**
 * What pipe2(2) fills, and a word of zeros. Either end is read as 64 bits: those behind the lower 32 are nothing to a call that
 * takes a descriptor.
 */
const pipeEnds = layout("pipe ends", { fd: array(u32, 2), zero: u32 });

/** Bytes that are copied into a pipe at a time: what a pipe holds unless told otherwise. */
const CHUNK = 65536;

interface PipeSlot extends FdSlot {
	readonly content: PipeEnd;
}

interface FifoSlot extends FdSlot {
	readonly content: Fifo;
}

interface AllEnds {
	/** The first slot of each description, ascending, by the pipe. */
	readonly pipes: ReadonlyMap<number, readonly [PipeSlot, ...PipeSlot[]]>;
	/** The first slot of each FIFO. */
	readonly fifos: readonly FifoSlot[];
}

/** What the workshop keeps an end of a pipe under. @param key of its slot. */
export const endOf = ({ pipe }: PipeEnd, key: FdSlot["key"]): string => `pipe ${pipe.id}, descriptor ${key}`;

const bothOf = ({ pipe }: Fifo): string => `both ends of FIFO ${pipe.id}`;

/** Every end of a pipe, and for each FIFO what keeps it open while its ends are opened. */
export function pipeDescriptions({ files }: Task, policy: FilePolicy): MadeInput[] {
	const { pipes, fifos } = endsIn(files, policy);
	return [
		...[...pipes.values()]
			.flat()
			.map((slot) => ({ key: endOf(slot.content, slot.key), name: `pipe ${slot.content.pipe.id}` })),
		...fifos.map(({ content }) => ({ key: bothOf(content), name: content.file.path })),
	];
}

function endsIn(files: Files, policy: FilePolicy): AllEnds {
	const pipes = new Map<number, [PipeSlot, ...PipeSlot[]]>();
	const fifos = new Map<number, FifoSlot>();
	const met = new Set<string>();
	for (const slot of slotsOf(files, policy, () => {})) {
		const { content, key } = slot;
		if (met.has(key)) continue;
		met.add(key);
		if (content.kind === "fifo" && !fifos.has(content.pipe.id)) fifos.set(content.pipe.id, { ...slot, content });
		if (content.kind !== "pipe") continue;
		const known = pipes.get(content.pipe.id);
		if (known === undefined) pipes.set(content.pipe.id, [{ ...slot, content }]);
		else known.push({ ...slot, content });
	}
	return { pipes, fifos: [...fifos.values()] };
}

/** What the making of pipes has at hand. */
interface Bench extends Pick<Context, "draft" | "inputs"> {
	readonly list: ListDraft;
	readonly actor: Actor;
	/** Writes into a pipe what it held. */
	readonly fill: (pipe: Pipe, end: Arg, kind: "pipe" | "fifo") => void;
}

/**
 * Makes pipes with all their ends and what they held, in the workshop, and holds FIFOs open in both ways, so that no end waits
 * for its counterpart.
 */
export function makePipes({ files }: Task, { draft, inputs, opener }: Context, policy: FilePolicy): Part {
	const { pipes, fifos } = endsIn(files, policy);
	if (pipes.size + fifos.length === 0) return draft.made();
	const list = draft.list(WORKSHOP);
	const actor = actorOf(() => list, opener, true);
	const bench = { draft, inputs, list, actor, fill: filler(inputs, list, actor) };
	for (const ends of pipes.values()) makePipe(ends, bench);
	for (const fifo of fifos) holdFifo(fifo, bench);
	actor.asCaller("workshop");
	return draft.made();
}

function makePipe(ends: readonly [PipeSlot, ...PipeSlot[]], { draft, inputs, list, actor, fill }: Bench): void {
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
	actor.asUser("workshop");
	list.add("workshop", "pipe2", [both, BigInt(flags | O.CLOEXEC)], `pipe ${pipe.id}, both ends`);
	if (pipe.content !== undefined && ends.some(({ content }) => (content.flags & O.DIRECT) !== 0))
		draft.report(loss("pipe", `pipe ${pipe.id}`, "what waits in it is no longer cut into packets (O_DIRECT)"));
	fill(pipe, high, "pipe");
	if (extras.length > 0) openAgain(extras, low);
	put(reader, low, "writing to it fails with EPIPE");
	put(writer, high, "reading from it finds its end");

	/** As /dev/stdout in a pipeline: a pipe opened by its name in /proc is one more description of it (fs/pipe.c, fifo_open). */
	function openAgain(extras: readonly PipeSlot[], low: Arg): void {
		const known = inputs.behindAgent;
		const landed: Place = cellDatum(`one more end of pipe ${pipe.id}`);
		const kept = BigInt(known);
		list.add("workshop", "fcntl", [low, BigInt(F.DUPFD_CLOEXEC), kept], `pipe ${pipe.id} has a name in /proc`, {
			expect: { exactly: kept },
		});
		actor.asUser("workshop");
		for (const extra of extras) {
			const path = pathDatum(`an end of pipe ${pipe.id}`, pathOfDescriptor(known));
			const how = BigInt(openFlags(extra.content.flags) | O.CLOEXEC);
			list.add("workshop", "openat", [AT_FDCWD, path, how], `pipe ${pipe.id} opened once more`, { save: landed });
			keepAs(
				list,
				{ valueOf: landed },
				inputs.inAgent.made(endOf(extra.content, extra.key)).number,
				`end of pipe ${pipe.id}`,
			);
		}
		list.add("workshop", "close", [kept], `all ends of pipe ${pipe.id} are open`);
	}

	function put(end: PipeSlot | undefined, landed: Arg, consequence: string): void {
		// as before: a reader finds the end of the pipe, a writer is told that nobody reads
		if (end === undefined) {
			list.add("workshop", "close", [landed], `nobody had this end of pipe ${pipe.id}`);
			if (ends.some(({ content }) => (content.flags & O_ACCMODE) === O.RDWR)) return;
			draft.report(
				loss("pipe", `descriptor ${number}`, `is a pipe whose other end the process had not; ${consequence}`),
			);
			return;
		}
		const add: FdAllocator["add"] = (call, args, why, options) => list.add("workshop", call, args, why, options);
		addStatusFlags({ add }, landed, flags, end.content.flags);
		keepAs(list, landed, inputs.inAgent.made(endOf(end.content, end.key)).number, `end of pipe ${pipe.id}`);
	}
}

function holdFifo({ content, byCaller }: FifoSlot, { inputs, list, actor, fill }: Bench): void {
	const { file, pipe } = content;
	const by = byCaller === true ? "caller" : "user";
	const node = inputs.inAgent.file(file.path, "node", by);
	if (node.lent || by === "caller") actor.asCaller("workshop");
	else actor.asUser("workshop");
	const path = pathDatum(`path of FIFO ${pipe.id}`, pathOfDescriptor(node.number));
	const landed: Arg = { valueOf: cellDatum(bothOf(content)) };
	list.add(
		"workshop",
		"openat",
		[AT_FDCWD, path, BigInt(O.RDWR | O.NONBLOCK | O.NOCTTY | O.CLOEXEC)],
		"both ends of a FIFO, so that no end waits for the other",
		{ save: landed.valueOf },
	);
	fill(pipe, landed, "fifo");
	keepAs(list, landed, inputs.inAgent.made(bothOf(content)).number, bothOf(content));
}

/** Gives its number to the end of a pipe, whose turn it is. */
export function placePipeEnd(fds: FdAllocator, slot: FdSlot, content: PipeEnd): void {
	const input = fds.context.inputs.made(endOf(content, slot.key));
	if (input.number === slot.number) {
		const flags = slot.closeOnExec ? FD_CLOEXEC : 0;
		fds.add("fcntl", [BigInt(slot.number), BigInt(F.SETFD), BigInt(flags)], `pipe ${content.pipe.id} waits there`);
	} else
		addDuplicate(fds, { input }, slot.number, slot.closeOnExec, `descriptor ${slot.number}, pipe ${content.pipe.id}`);
}

function filler({ inAgent }: Context["inputs"], list: ListDraft, actor: Actor): Bench["fill"] {
	let buffer: Place | undefined;
	const copy = (content: Extent, end: Arg, what: string): void => {
		buffer ??= spaceDatum("pipe buffer", CHUNK, 4096);
		const fd = { input: inAgent.source(content.source) };
		for (const { offset, length } of piecesOf(content, BigInt(CHUNK))) {
			const expect = { exactly: length };
			// not splice(2): pieces that are not aligned in the file take more of the pipe's slots than they need
			list.add("workshop", "pread64", [fd, buffer, length, offset], `what ${what} held`, { expect });
			list.add("workshop", "write", [end, buffer, length], `into ${what}`, { expect });
		}
	};
	return ({ id, capacity, content }, end, kind) => {
		// more than the kernel gives to anybody
		if (capacity !== undefined && capacity > CHUNK) actor.asCaller("workshop");
		if (capacity !== undefined)
			list.add("workshop", "fcntl", [end, BigInt(F.SETPIPE_SZ), BigInt(capacity)], `room in ${kind} ${id}`);
		if (content !== undefined) copy(content, end, `${kind} ${id}`);
	};
}
