import type { Agent } from "../agent/agent.ts";
import { blob } from "../agent/blob.ts";
import { blobPage } from "../agent/layout.ts";
import { type Address, address, hex, PAGE_SIZE, plus } from "../bytes/address.ts";
import type { Range } from "../bytes/range.ts";
import { refuse } from "../errors.ts";
import { errnoName } from "../linux/errno.ts";
import { MAP, PROT_EXEC, PROT_READ } from "../linux/mman.ts";
import { O } from "../linux/open.ts";
import { pathOfMemory } from "../proc/links.ts";
import { type Assembled, assemble } from "../program/assemble.ts";
import { injectCall, restoreThreads, runParasites, type StoppedThread } from "../trace/inject.ts";
import type { ProcessMemory } from "../trace/process-memory.ts";
import { FRESH, mapInVictim, unmapInVictim, type VictimThread } from "../trace/victim-memory.ts";
import { type Answers, LAST_CALL, type ParasiteQueries, STACK_SIZE } from "./parasite-queries.ts";

/** A stopped process. */
export interface QueriedProcess {
	readonly pid: number;
	/** The ptrace-stop of each thread, and what it resumes with, leader first. */
	readonly atStop: readonly StoppedThread[];
	readonly memory: ProcessMemory;
	/** A `syscall` instruction of its own. */
	readonly syscallInstruction: Address;
}

/**
 * Runs the parasite in a stopped process: maps memory in it by an injected mmap(2), writes the blob there, has each thread run
 * its queries, and unmaps it, also when we are killed (by the agent's undo list). Registers and masks are restored.
 *
 * @throws NecromancerError ERR_HOST where it may map no such memory, ERR_PROCESS when it dies.
 */
export async function runQueries(agent: Agent, process: QueriedProcess, queries: ParasiteQueries): Promise<Answers> {
	const room = await lend(agent, process, roomFor(queries));
	let answers: Answers;
	try {
		answers = await ask(agent, process, queries, room);
	} catch (cause) {
		// what went wrong first is what there is to say
		await unmapInVictim(agent, callerOf(process), room).catch(() => undefined);
		throw cause;
	}
	await unmapInVictim(agent, callerOf(process), room);
	return answers;
}

/** Code first, in a page r-x that only a tracer can write to; then data, rw-. */
async function lend(agent: Agent, target: QueriedProcess, length: bigint): Promise<Range> {
	const caller = callerOf(target);
	const { leader, syscallInstruction } = caller;
	const room = await mapInVictim(agent, caller, length);
	if (typeof room === "bigint") return refuseRoom(leader.tid, length, room);
	const code = [room.start, PAGE_SIZE, BigInt(PROT_READ | PROT_EXEC), BigInt(FRESH | MAP.FIXED), -1n, 0n] as const;
	const mapped = await injectCall(agent, leader, syscallInstruction, { name: "mmap", args: code });
	if (mapped === room.start) return room;
	await unmapInVictim(agent, caller, room);
	return refuseRoom(leader.tid, PAGE_SIZE, mapped);
}

/** The leader of a stopped process, for injected calls. */
export const callerOf = ({
	atStop,
	syscallInstruction,
}: Pick<QueriedProcess, "atStop" | "syscallInstruction">): VictimThread => ({
	leader: leaderOf(atStop),
	syscallInstruction,
});

function leaderOf([leader]: readonly StoppedThread[]): StoppedThread {
	if (leader === undefined) throw new RangeError("a process without threads");
	return leader;
}

async function ask(
	agent: Agent,
	{ pid, atStop, memory }: QueriedProcess,
	queries: ParasiteQueries,
	room: Range,
): Promise<Answers> {
	const encoded = assemble(queries.program(room), { reserved: PAGE_SIZE });
	await writeCode(agent, pid, room.start);
	for (const { at, bytes } of encoded.pieces) memory.write(at, bytes);
	try {
		await runParasites(agent, parasitesOf(atStop, queries, encoded), entryOf(room, queries, encoded));
	} catch (cause) {
		await restoreThreads(agent, atStop).catch(() => undefined);
		throw cause;
	}
	return queries.read((place, count) => {
		const from = encoded.addressOf(place);
		return memory.peek(from, count) ?? refuseUnread(from);
	});
}

/** By the tracer: since Linux 6.12 /proc/PID/mem may refuse writes to read-only pages from others (proc_mem.force_override). */
async function writeCode(agent: Agent, pid: number, at: Address): Promise<void> {
	const batch = agent.batch();
	const page = batch.put(blobPage(blob));
	const file = batch.call("open", batch.put(Buffer.from(`${pathOfMemory(pid)}\0`)), O.RDWR | O.CLOEXEC);
	const written = batch.call("pwrite64", { valueOf: file }, page, page.size, at);
	batch.call("close", { valueOf: file });
	const result = (await agent.perform(batch, { doing: "writing code" })).result(written);
	if (result === BigInt(page.size)) return;
	refuse("ERR_HOST", {
		subject: pathOfMemory(pid),
		finding: `pwrite64 at ${hex(at)} ${result < 0n ? `failed with ${errnoName(Number(result))}` : `wrote ${result} bytes`}`,
		expectation: "expected a tracer to be allowed to write code",
		remedy: "start the kernel with proc_mem.force_override=ptrace",
	});
}

/** Whole pages for blob and plan, wherever they come to lie. */
function roomFor(queries: ParasiteQueries): bigint {
	const anywhere = address(1n << 32n);
	const hole = { start: anywhere, end: plus(anywhere, 1n << 40n) };
	return assemble(queries.program(hole), { reserved: PAGE_SIZE }).end - anywhere;
}

const parasitesOf = (atStop: readonly StoppedThread[], queries: ParasiteQueries, encoded: Assembled) =>
	atStop.map((thread) => {
		const stack = encoded.addressOf({ ...queries.stackOf(thread.tid), offset: STACK_SIZE });
		return { ...thread, steps: encoded.firstStep(queries.listOf(thread.tid)), stack };
	});

const entryOf = (room: Range, { context }: ParasiteQueries, encoded: Assembled) => ({
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
