import { i32, viewOf } from "../../bytes/layout.ts";
import { MAP, PROT_READ, PROT_WRITE } from "../../linux/mman.ts";
import { cloneArgs } from "../../linux/sched.ts";
import { SIGCHLD } from "../../linux/signal.ts";
import type { Place } from "../../program/args.ts";
import { bytesDatum, spaceDatum } from "../../program/data.ts";
import type { Context, ToldWords } from "../context.ts";
import type { ListDraft, Part } from "../part.ts";
import { listOfProcess } from "../plan.ts";
import { addWord } from "./hearing.ts";
import type { Kin } from "./kinship.ts";

/** A process's stack until it leaves for its own; the blob needs a few hundred bytes of it. */
const STACK_SIZE = 4096;

const PAGE = 4096;
const WORD = 8;

/** Words that all processes of a plan share, each for one thing that is waited for: its process's id once it is so. */
export interface Words {
	/** That the leader of a group is there; absent where nobody waits for that. */
	readonly groups: ReadonlyMap<number, Place>;
	readonly told: ToldWords;
	/** The memory that they lie in. */
	readonly page: Place;
}

/**
 * @param first the process that the restorer talks to.
 * @param awaited groups that somebody waits for.
 */
export function wordsFor(first: number, awaited: readonly number[]): Words {
	const count = awaited.length + 2;
	const page = spaceDatum("words between processes", Math.ceil((count * WORD) / PAGE) * PAGE, PAGE);
	const word = (i: number): Place => ({ ...page, offset: i * WORD });
	return {
		page,
		told: { first, seen: word(0), go: word(1) },
		groups: new Map(awaited.map((pgid, i) => [pgid, word(i + 2)])),
	};
}

/** Maps them, in the process that is there first: all others inherit them. */
export function planWords({ page }: Words, { draft }: Context): Part {
	draft.leader.add(
		"shared",
		"mmap",
		[
			page,
			BigInt(page.datum.size),
			BigInt(PROT_READ | PROT_WRITE),
			BigInt(MAP.SHARED | MAP.ANONYMOUS | MAP.FIXED),
			-1n,
			0n,
		],
		"words by which its processes wait for one another",
	);
	return draft.made();
}

/** How a child is made. */
export interface Making {
	/** The struct context of blob.h that it reports by. */
	readonly reportTarget: (pid: number) => Place;
	readonly words: Words;
}

/**
 * A process's place among others: its session, its children, its group. Children are made before it has anything that they would
 * inherit.
 *
 * @param isRoot It leads its session already.
 */
export function planFamily(kin: Kin, isRoot: boolean, context: Context, making: Making): Part {
	const { draft } = context;
	const list = draft.leader;
	const { pid, leadsSession, leadsGroup, joins } = kin;
	for (const child of kin.early) addChild(list, child.pid, making);
	if (leadsSession && !isRoot)
		list.add("children", "setsid", [], "leads its session", { expect: { exactly: BigInt(pid) } });
	if (leadsGroup) list.add("children", "setpgid", [0n, 0n], "leads its process group");
	const led = leadsSession || leadsGroup ? making.words.groups.get(pid) : undefined;
	if (led !== undefined) addWord(list, "children", pid, led, "others may join its group");
	for (const child of kin.late) addChild(list, child.pid, making);
	const group = joins === undefined ? undefined : making.words.groups.get(joins);
	if (joins !== undefined && group !== undefined) {
		list.add("children", "await", [group, BigInt(joins)], `until group ${joins} is there`);
		list.add("children", "setpgid", [0n, BigInt(joins)], `in process group ${joins}`);
	}
	return draft.made();
}

function addChild(list: ListDraft, pid: number, { reportTarget }: Making): void {
	const id = new Uint8Array(i32.size);
	i32.write(viewOf(id), 0, pid);
	const args = cloneArgs.encode({
		...{ flags: 0n, pidfd: 0n, child_tid: 0n, parent_tid: 0n, exit_signal: BigInt(SIGCHLD), stack: 0n },
		...{ stack_size: BigInt(STACK_SIZE), tls: 0n, set_tid: 0n, set_tid_size: 1n, cgroup: 0n },
	});
	const place = bytesDatum(`clone_args of process ${pid}`, args, {
		pointers: [
			{ at: cloneArgs.offsetOf("stack"), to: spaceDatum(`stack of process ${pid}`, STACK_SIZE) },
			{ at: cloneArgs.offsetOf("set_tid"), to: bytesDatum(`id of process ${pid}`, id, { align: 4 }) },
		],
	});
	const name = listOfProcess(pid);
	list.add("children", "spawn", [place, BigInt(cloneArgs.size), reportTarget(pid), { list: name }], name, {
		expect: { exactly: BigInt(pid) },
	});
}
