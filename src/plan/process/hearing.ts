import { ALL_WAITERS, FUTEX } from "../../linux/futex.ts";
import type { Place } from "../../program/args.ts";
import { spaceDatum } from "../../program/data.ts";
import type { Context, ToldWords } from "../context.ts";
import type { ListDraft } from "../part.ts";
import type { Stage } from "../plan.ts";

/**
 * Waits for one byte of the restorer's, who has heard of all processes by then. Where there are several, the first reads it and tells
 * the others: bytes in a socket are anybody's, and whoever is quick would take two.
 */
export function addHearing(
	stage: Stage,
	what: "seen" | "go",
	pid: number,
	{ draft, reportTarget, common }: Pick<Context, "draft" | "reportTarget" | "common">,
	why: string,
): void {
	const list = draft.leader;
	const words: ToldWords | undefined = common?.words;
	if (words !== undefined && words.first !== pid) {
		list.add(stage, "await", [words[what], BigInt(words.first)], why);
		return;
	}
	const buffer = spaceDatum(what === "go" ? "the word to go" : "the word that they are right", 8);
	list.add(stage, "read", [{ valueOf: reportTarget }, buffer, 1n], why, { expect: { exactly: 1n } });
	if (words !== undefined) addWord(list, stage, pid, words[what], "so may the others");
}

/** Until its children do not end with it any more, a process does not run: it may be about to end. */
export function addFreeing(stage: Stage, pid: number, { draft, common }: Pick<Context, "draft" | "common">): void {
	if (common === undefined) return;
	const list = draft.leader;
	const { free } = common.words;
	const own = free.get(pid);
	if (own !== undefined) addWord(list, stage, pid, own, "does not end with its parent any more");
	for (const child of common.children) {
		const word = free.get(child);
		if (word !== undefined) list.add(stage, "await", [word, BigInt(child)], `until process ${child} lives by itself`);
	}
}

/** Says in a word that something is so, by the id of whose it is, and wakes who waits for it. */
export function addWord(list: ListDraft, stage: Stage, pid: number, word: Place, why: string): void {
	// what it returns is what the word holds then
	list.add(stage, "gettid", [], why, { expect: { exactly: BigInt(pid) }, save: word });
	list.add(stage, "futex", [word, BigInt(FUTEX.WAKE), ALL_WAITERS, 0n, 0n, 0n], why);
}
