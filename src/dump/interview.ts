import { type Address, address, hex, isPageAligned, PAGE_SIZE, plus } from "../bytes/address.ts";
import type { Range } from "../bytes/range.ts";
import { refuse } from "../errors.ts";
import type { Agent } from "../host/agent.ts";
import { blob } from "../host/blob.ts";
import { remoteCall, runGuests, type Standing } from "../host/guest.ts";
import type { ProcessMemory } from "../host/process-memory.ts";
import { blobPage } from "../host/room.ts";
import { errnoName } from "../linux/errno.ts";
import { MAP, PROT_EXEC, PROT_READ, PROT_WRITE } from "../linux/mman.ts";
import { type EncodedPlan, encodePlan } from "../plan/encode.ts";
import { type Answers, LAST_CALL, type Questions, STACK_SIZE } from "./questions.ts";

/** A process that stands still. */
export interface Interviewed {
	/** What each thread is to go on with, leader first. */
	readonly standing: readonly Standing[];
	readonly memory: ProcessMemory;
	/** A `syscall` instruction of its own. */
	readonly syscallInstruction: Address;
	/** Signals that came meanwhile. Added to. */
	readonly owed: Set<number>;
}

/**
 * Has a stopped process answer questions about itself: the blob is lent to it for as long as that takes, in memory of its
 * own that is gone afterwards. All threads stand as before.
 *
 * @throws NecromancerError ERR_HOST where it may map no such memory, ERR_PROCESS when it dies.
 */
export async function interview(agent: Agent, process: Interviewed, questions: Questions): Promise<Answers> {
	const { standing, syscallInstruction, owed } = process;
	const [leader] = standing;
	if (leader === undefined) throw new RangeError("a process without threads");
	const length = roomFor(questions);
	const call = (name: string, args: readonly bigint[]): Promise<bigint> =>
		remoteCall(agent, leader, syscallInstruction, name, args, owed);
	const rwx = BigInt(PROT_READ | PROT_WRITE | PROT_EXEC);
	const fresh = BigInt(MAP.PRIVATE | MAP.ANONYMOUS | MAP.NORESERVE);
	const at = await call("mmap", [0n, length, rwx, fresh, -1n, 0n]);
	if (at < 0n || !isPageAligned(at))
		return refuse("ERR_HOST", {
			subject: `process ${leader.tid}`,
			finding: `mmap of ${length} bytes failed with ${errnoName(Number(at))}`,
			expectation: "expected room for the code that asks it about itself",
			remedy: "raise its limit on address space (prlimit --as), or allow it executable memory",
		});
	const hole = { start: address(at), end: address(at + length) };
	const giveBack = (): Promise<bigint> => call("munmap", [hole.start, length]);
	let answers: Answers;
	try {
		answers = await ask(agent, process, questions, hole);
	} catch (cause) {
		// what went wrong first is what there is to say
		await giveBack().catch(() => undefined);
		throw cause;
	}
	const gone = await giveBack();
	return gone < 0n ? refuseLeft(leader.tid, hole, gone) : answers;
}

async function ask(
	agent: Agent,
	{ standing, memory, owed }: Interviewed,
	questions: Questions,
	hole: Range,
): Promise<Answers> {
	const encoded = encodePlan(questions.plan(hole));
	memory.write(hole.start, blobPage(blob));
	for (const { at, bytes } of encoded.pieces) memory.write(at, bytes);
	await runGuests(agent, guestsOf(standing, questions, encoded), visitOf(hole, questions, encoded), owed);
	return questions.read((place, count) => {
		const from = encoded.addressOf(place);
		return memory.peek(from, count) ?? refuseUnread(from);
	});
}

/** Whole pages for blob and plan, wherever they come to lie. */
function roomFor(questions: Questions): bigint {
	const anywhere = address(1n << 32n);
	const { end } = encodePlan(questions.plan({ start: anywhere, end: plus(anywhere, 1n << 40n) }));
	return end - anywhere + PAGE_SIZE;
}

const guestsOf = (standing: readonly Standing[], questions: Questions, encoded: EncodedPlan) =>
	standing.map((thread) => {
		const { name, calls } = questions.listOf(thread.tid);
		const stack = encoded.addressOf({ ...questions.stackOf(thread.tid), offset: STACK_SIZE });
		return { ...thread, steps: encoded.firstStep(name), stack, calls };
	});

const visitOf = (hole: Range, { context }: Questions, encoded: EncodedPlan) => ({
	entry: plus(hole.start, BigInt(blob.symbols.child_entry)),
	context: encoded.addressOf(context),
	last: LAST_CALL,
});

const refuseUnread = (at: Address): never =>
	refuse("ERR_HOST", { subject: "process", finding: `its answers at ${hex(at)} cannot be read` });

const refuseLeft = (pid: number, { start, end }: Range, result: bigint): never =>
	refuse("ERR_HOST", {
		subject: `process ${pid}`,
		finding: `munmap of ${hex(start)} to ${hex(end)} failed with ${errnoName(Number(result))}`,
		expectation: "expected our own memory to go; it stays in the process, unused",
	});
