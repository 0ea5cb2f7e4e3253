import { MAP, PROT_READ, PROT_WRITE } from "../../linux/mman.ts";
import { CLONE, cloneArgs } from "../../linux/sched.ts";
import { SIGCHLD } from "../../linux/signal.ts";
import type { Place } from "../../program/args.ts";
import { spaceDatum } from "../../program/data.ts";
import { cloneArgsOf } from "../clone-args.ts";
import type { Context, ToldWords } from "../context.ts";
import type { ListDraft, Part } from "../part.ts";
import { listOfProcess, type Stage } from "../plan.ts";
import { addReaping, expectEnds } from "./ended.ts";
import { addWord } from "./hearing.ts";
import type { Kin, Kinship } from "./kinship.ts";
import { addControl, addForeground, addSessionFiles, type Control, type SessionFile } from "./terminals.ts";

const PAGE = 4096;
const WORD = 8;

/** Words that all processes of a plan share, each for one thing that is waited for: its process's id once it is so. */
export interface Words {
	/** That the leader of a group is there; absent where nobody waits for that. */
	readonly groups: ReadonlyMap<number, Place>;
	/** That a process is in its group, whose leader is about to end. */
	readonly joined: ReadonlyMap<number, Place>;
	readonly told: ToldWords;
	/** That a process which has its maker's descriptor table needs no number of it any more, by the process. */
	readonly tables: ReadonlyMap<number, Place>;
	/** That a process has mapped what it shows of memfds of several, by the process; none where there are none. */
	readonly mapped: ReadonlyMap<number, Place>;
	/** The memory that they lie in. */
	readonly page: Place;
}

/** Of all of a kinship. @param memfds Whether there are memfds of several. */
export function wordsFor({ root, all, awaited }: Kinship, memfds = false): Words {
	const others = all.filter((kin) => kin !== root && kin.fate.kind === "lives").map(({ pid }) => pid);
	const borrowers = all.filter(({ borrows }) => borrows).map(({ pid }) => pid);
	const joining = all.flatMap(({ outlasts }) => outlasts);
	const mappers = memfds ? others : [];
	const count = 2 + others.length + awaited.length + borrowers.length + joining.length + mappers.length;
	const page = spaceDatum("words between processes", Math.ceil((count * WORD) / PAGE) * PAGE, PAGE);
	let given = 0;
	const word = (): Place => ({ ...page, offset: given++ * WORD });
	const wordsOf = (ids: readonly number[]): ReadonlyMap<number, Place> => new Map(ids.map((id) => [id, word()]));
	const told = { first: root.pid, seen: word(), go: word(), free: wordsOf(others) };
	const tables = wordsOf(borrowers);
	return { page, told, groups: wordsOf(awaited), joined: wordsOf(joining), tables, mapped: wordsOf(mappers) };
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
	/** The terminals of sessions, by their leaders. */
	readonly controls: ReadonlyMap<number, Control>;
	readonly sessionFiles: ReadonlyMap<number, readonly SessionFile[]>;
}

/**
 * A process's place among others: its session, whom it makes, its group. They are made before it has anything that they would
 * inherit.
 *
 * @param isRoot It leads its session already.
 */
export function planFamily(kin: Kin, isRoot: boolean, context: Context, making: Making): Part {
	const { draft } = context;
	const control = making.controls.get(kin.pid);
	const list = draft.leader;
	const { pid, leadsSession, leadsGroup } = kin;
	expectEnds(kin, list);
	for (const child of kin.early) addChild(list, child, making);
	if (leadsSession && !isRoot)
		list.add("children", "setsid", [], "leads its session", { expect: { exactly: BigInt(pid) } });
	if (control !== undefined) addControl(control, "children", list, context);
	addSessionFiles(making.sessionFiles.get(pid) ?? [], "children", list);
	if (leadsGroup) list.add("children", "setpgid", [0n, 0n], "leads its process group");
	const led = leadsSession || leadsGroup ? making.words.groups.get(pid) : undefined;
	if (led !== undefined) addWord(list, "children", pid, led, "others may join its group");
	for (const child of kin.late) addChild(list, child, making);
	if (control !== undefined) {
		const { foreground = pid } = control;
		const there = foreground === pid ? undefined : making.words.groups.get(foreground);
		if (there !== undefined)
			list.add("children", "await", [there, BigInt(foreground)], `until group ${foreground} is there`);
		addForeground(control, "children", list, context);
	}
	// until it gives the table back its maker waits, which may be about to make the group's leader
	if (!kin.borrows) addSettling("children", kin, list, making);
	return draft.made();
}

/** What a process that has its maker's descriptor table says when it needs no number of it any more. */
export function planReturn(kin: Kin, { draft }: Context, making: Making): Part {
	const word = making.words.tables.get(kin.pid);
	if (word !== undefined)
		addWord(draft.leader, "directories", kin.pid, word, "whoever made it may use the descriptor table");
	addSettling("directories", kin, draft.leader, making);
	return draft.made();
}

/** Into its group; then it waits for those of its children that only were to end. */
function addSettling(stage: Stage, kin: Kin, list: ListDraft, { words }: Making): void {
	const { pid, joins } = kin;
	const group = joins === undefined ? undefined : words.groups.get(joins);
	if (joins !== undefined && group !== undefined) {
		list.add(stage, "await", [group, BigInt(joins)], `until group ${joins} is there`);
		list.add(stage, "setpgid", [0n, BigInt(joins)], `in process group ${joins}`);
		const joined = words.joined.get(pid);
		if (joined !== undefined) addWord(list, stage, pid, joined, "its leader may end");
	}
	addReaping(stage, kin, list);
}

/** One that has the same descriptor table is waited for: numbers that two use are nobody's. */
function addChild(list: ListDraft, { pid, sibling, borrows, fate }: Kin, { reportTarget, words }: Making): void {
	const flags = (borrows ? CLONE.FILES : 0) | (sibling ? CLONE.PARENT : 0);
	// the kernel gives it that of its maker with CLONE_PARENT, and takes no other (clone(2))
	const exitSignal = sibling ? 0 : SIGCHLD;
	const place = cloneArgsOf({ name: `process ${pid}`, flags, exitSignal, tid: pid });
	const name = listOfProcess(pid);
	const what = { lives: name, zombie: `${name}, which has ended`, "stand-in": `stands in for process ${pid}` };
	const why = `${what[fate.kind]}${sibling ? ", a child of its parent" : ""}`;
	list.add("children", "spawn", [place, BigInt(cloneArgs.size), reportTarget(pid), { list: name }], why, {
		expect: { exactly: BigInt(pid) },
	});
	const returned = words.tables.get(pid);
	if (returned !== undefined)
		list.add("children", "await", [returned, BigInt(pid)], `until ${name} needs its numbers no more`);
}
