import type { Agent } from "../agent/agent.ts";
import { blob } from "../agent/blob.ts";
import { blobPage } from "../agent/layout.ts";
import { type Address, address, hex, PAGE_SIZE, plus } from "../bytes/address.ts";
import type { Range } from "../bytes/range.ts";
import { refuse } from "../errors.ts";
import { errnoName } from "../linux/errno.ts";
import { MAP, PROT_EXEC, PROT_READ } from "../linux/mman.ts";
import { O } from "../linux/open.ts";
import { type EncodedPlan, encodePlan } from "../plan/encode.ts";
import { giveBack, remoteCall, runGuests, type Standing } from "../trace/inject.ts";
import type { ProcessMemory } from "../trace/process-memory.ts";
import { FRESH, lendMemory, type RemoteCaller, takeBackMemory } from "../trace/victim-memory.ts";
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
		await takeBackMemory(agent, callerOf(process), room).catch(() => undefined);
		throw cause;
	}
	await takeBackMemory(agent, callerOf(process), room);
	return answers;
}

/** Code comes first, in a page of its own that nobody can write to but a tracer; data follows, that nobody can run. */
async function lend(agent: Agent, interviewed: Interviewed, length: bigint): Promise<Range> {
	const caller = callerOf(interviewed);
	const { leader, syscallInstruction } = caller;
	const room = await lendMemory(agent, caller, length);
	if (typeof room === "bigint") return refuseRoom(leader.tid, length, room);
	const code = [room.start, PAGE_SIZE, BigInt(PROT_READ | PROT_EXEC), BigInt(FRESH | MAP.FIXED), -1n, 0n];
	const mapped = await remoteCall(agent, leader, syscallInstruction, { name: "mmap", args: code });
	if (mapped === room.start) return room;
	await takeBackMemory(agent, caller, room);
	return refuseRoom(leader.tid, PAGE_SIZE, mapped);
}

/** Of a process that stands still: its first thread. */
export const callerOf = ({
	standing,
	syscallInstruction,
}: Pick<Interviewed, "standing" | "syscallInstruction">): RemoteCaller => ({
	leader: leaderOf(standing),
	syscallInstruction,
});

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
