import type { Recovery } from "../../criu/store/recover.ts";
import type { PartialTask } from "../../forest/partial-task.ts";
import type { Patched } from "../../patch/patch.ts";
import { summaryOf } from "../findings.ts";
import { jsonText } from "../json-text.ts";
import { escapeText, type Terminal } from "../terminal.ts";

/** What became of an earlier patch of the directory that was cut short. */
export const recoveryText = (directory: string, recovery: Recovery): string =>
	recovery === "clean"
		? ""
		: `${escapeText(directory)}: an earlier patch had been cut short; it was ${recovery === "undone" ? "undone" : "finished first"}\n`;

/** What was done and what to do next. */
export function summaryText(
	dead: PartialTask,
	{ task, findings }: Patched,
	target: string | undefined,
	{ paint }: Terminal,
): string {
	const { pid, comm } = task.identity;
	const who = `${escapeText(comm)} (pid ${pid}, ${task.threads.length} thread${task.threads.length === 1 ? "" : "s"}; ${escapeText(dead.death.words)})`;
	if (target === undefined)
		return `${paint.bold("check")}: ${who} can be patched into this donor; ${summaryOf(findings)}; nothing was written\n`;
	const resume = dead.death.synchronous
		? `it resumes at the instruction that killed it: restore it stopped (-s) and change what made it fail\n`
		: "";
	return `${paint.green("patched")} ${escapeText(target)}: ${who}; ${summaryOf(findings)}\n${resume}next: necromancer restore -i ${escapeText(target)} -d\n`;
}

/** The outcome for programs. */
export const patchedJson = (dead: PartialTask, { task, findings }: Patched, target: string | undefined): string =>
	jsonText({
		schema: 1,
		kind: "patch",
		written: target ?? null,
		pid: task.identity.pid,
		comm: task.identity.comm,
		threads: task.threads.map(({ tid }) => tid),
		death: {
			tid: dead.death.tid,
			signal: dead.death.signal,
			words: dead.death.words,
			synchronous: dead.death.synchronous,
		},
		findings,
	});
