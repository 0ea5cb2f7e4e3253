import { type Address, address, hex, isPageAligned, PAGE_SIZE, plus } from "../bytes/address.ts";
import { lengthOf, type Range } from "../bytes/range.ts";
import { refuse } from "../errors.ts";
import type { Agent } from "../host/agent.ts";
import { blob } from "../host/blob.ts";
import { addRemoteUnmap, giveBack, remoteCall, runGuests, type Standing } from "../host/guest.ts";
import type { ProcessMemory } from "../host/process-memory.ts";
import { blobPage } from "../host/room.ts";
import { errnoName } from "../linux/errno.ts";
import { MAP, PROT_EXEC, PROT_READ, PROT_WRITE } from "../linux/mman.ts";
import { O } from "../linux/open.ts";
import { type EncodedPlan, encodePlan } from "../plan/encode.ts";
import { type Answers, LAST_CALL, type Questions, STACK_SIZE } from "./questions.ts";

/** A process that stands still. */
export interface Interviewed {
	readonly pid: number;
	/** What each thread is to go on with, leader first. */
	readonly standing: readonly Standing[];
	readonly memory: ProcessMemory;
	/** A `syscall` instruction of its own. */
	readonly syscallInstruction: Address;
}

/**
 * Has a stopped process answer questions about itself: the blob is lent to it for as long as that takes, in memory of its
 * own that is gone afterwards, also when we are killed: from the request that maps it on, the agent has a list that
 * unmaps it. All threads stand as before.
 *
 * @throws NecromancerError ERR_HOST where it may map no such memory, ERR_PROCESS when it dies.
 */
export async function interview(agent: Agent, process: Interviewed, questions: Questions): Promise<Answers> {
	const room = await lend(agent, process, roomFor(questions));
	let answers: Answers;
	try {
		answers = await ask(agent, process, questions, room);
	} catch (cause) {
		// what went wrong first is what there is to say
		await takeBack(agent, process, room).catch(() => undefined);
		throw cause;
	}
	await takeBack(agent, process, room);
	return answers;
}

/** Code comes first, in a page of its own that nobody can write to but a tracer; data follows, that nobody can run. */
async function lend(agent: Agent, { standing, syscallInstruction }: Interviewed, length: bigint): Promise<Range> {
	const leader = leaderOf(standing);
	const undo = agent.undoing();
	const start = addRemoteUnmap(undo, leader, syscallInstruction, length);
	const call = { name: "mmap", args: [0n, length, BigInt(PROT_READ | PROT_WRITE), FRESH, -1n, 0n], copies: [start] };
	const at = await remoteCall(agent, leader, syscallInstruction, call, { undo });
	if (at < 0n || !isPageAligned(at)) return refuseRoom(leader.tid, length, at);
	const room = { start: address(at), end: address(at + length) };
	const code = [at, PAGE_SIZE, BigInt(PROT_READ | PROT_EXEC), FRESH | BigInt(MAP.FIXED), -1n, 0n];
	const mapped = await remoteCall(agent, leader, syscallInstruction, { name: "mmap", args: code });
	if (mapped === at) return room;
	await takeBack(agent, { standing, syscallInstruction }, room);
	return refuseRoom(leader.tid, PAGE_SIZE, mapped);
}

const FRESH = BigInt(MAP.PRIVATE | MAP.ANONYMOUS | MAP.NORESERVE);

/** The request that unmaps takes the undo list away too: it is carried out to its end, also without us. */
async function takeBack(
	agent: Agent,
	{ standing, syscallInstruction }: Pick<Interviewed, "standing" | "syscallInstruction">,
	room: Range,
): Promise<void> {
	const leader = leaderOf(standing);
	const call = { name: "munmap", args: [room.start, lengthOf(room)] };
	const gone = await remoteCall(agent, leader, syscallInstruction, call, { undo: undefined });
	if (gone >= 0n) return;
	refuse("ERR_HOST", {
		subject: `process ${leader.tid}`,
		finding: `munmap of ${hex(room.start)} to ${hex(room.end)} failed with ${errnoName(Number(gone))}`,
		expectation: "expected our own memory to go; it stays in the process, unused",
	});
}

function leaderOf([leader]: readonly Standing[]): Standing {
	if (leader === undefined) throw new RangeError("a process without threads");
	return leader;
}

async function ask(
	agent: Agent,
	{ pid, standing, memory }: Interviewed,
	questions: Questions,
	room: Range,
): Promise<Answers> {
	const encoded = encodePlan(questions.plan(room), { reserved: PAGE_SIZE });
	await writeCode(agent, pid, room.start);
	for (const { at, bytes } of encoded.pieces) memory.write(at, bytes);
	try {
		await runGuests(agent, guestsOf(standing, questions, encoded), visitOf(room, questions, encoded));
	} catch (cause) {
		await giveBack(agent, standing).catch(() => undefined);
		throw cause;
	}
	return questions.read((place, count) => {
		const from = encoded.addressOf(place);
		return memory.peek(from, count) ?? refuseUnread(from);
	});
}

/** Kernels can be told to let only its tracer write to what a process itself may not (6.12, proc_mem.force_override). */
async function writeCode(agent: Agent, pid: number, at: Address): Promise<void> {
	const errand = agent.errand();
	const page = errand.put(blobPage(blob));
	const file = errand.call("open", errand.put(Buffer.from(`/proc/${pid}/mem\0`)), O.RDWR | O.CLOEXEC);
	const written = errand.call("pwrite64", { valueOf: file }, page, page.size, at);
	errand.call("close", { valueOf: file });
	const result = (await agent.perform(errand, { doing: "writing code" })).result(written);
	if (result === BigInt(page.size)) return;
	refuse("ERR_HOST", {
		subject: `/proc/${pid}/mem`,
		finding: `pwrite64 at ${hex(at)} ${result < 0n ? `failed with ${errnoName(Number(result))}` : `wrote ${result} bytes`}`,
		expectation: "expected a tracer to be allowed to write code",
		remedy: "start the kernel with proc_mem.force_override=ptrace",
	});
}

/** Whole pages for blob and plan, wherever they come to lie. */
function roomFor(questions: Questions): bigint {
	const anywhere = address(1n << 32n);
	const hole = { start: anywhere, end: plus(anywhere, 1n << 40n) };
	return encodePlan(questions.plan(hole), { reserved: PAGE_SIZE }).end - anywhere;
}

const guestsOf = (standing: readonly Standing[], questions: Questions, encoded: EncodedPlan) =>
	standing.map((thread) => {
		const stack = encoded.addressOf({ ...questions.stackOf(thread.tid), offset: STACK_SIZE });
		return { ...thread, steps: encoded.firstStep(questions.listOf(thread.tid)), stack };
	});

const visitOf = (room: Range, { context }: Questions, encoded: EncodedPlan) => ({
	entry: plus(room.start, BigInt(blob.symbols.child_entry)),
	context: encoded.addressOf(context),
	last: LAST_CALL,
});

const refuseUnread = (at: Address): never =>
	refuse("ERR_HOST", { subject: "process", finding: `its answers at ${hex(at)} cannot be read` });

const refuseRoom = (pid: number, length: bigint, result: bigint): never =>
	refuse("ERR_HOST", {
		subject: `process ${pid}`,
		finding: `mmap of ${length} bytes failed with ${errnoName(Number(result))}`,
		expectation: "expected room for the code that asks it about itself",
		remedy: "raise its limit on address space (prlimit --as), or allow it executable memory",
	});
