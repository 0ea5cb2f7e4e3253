import type { Recovery } from "../../criu/store/recover.ts";
import type { PartialTask } from "../../forest/partial-task.ts";
import type { PatchedTree } from "../../patch/patch.ts";
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
	deads: readonly PartialTask[],
	{ tasks, findings }: PatchedTree,
	target: string | undefined,
	{ paint }: Terminal,
): string {
	const who = tasks
		.map(({ identity: { pid, comm }, threads }, i) => {
			const count = `${threads.length} thread${threads.length === 1 ? "" : "s"}`;
			return `${escapeText(comm)} (pid ${pid}, ${count}; ${escapeText(deads[i]?.death.words ?? "")})`;
		})
		.join(", ");
	if (target === undefined)
		return `${paint.bold("check")}: ${who} can be patched into this donor; ${summaryOf(findings)}; nothing was written\n`;
	const again = deads.filter(({ death }) => death.synchronous);
	const it = deads.length === 1 ? "it resumes" : `${again.map(({ pid }) => pid).join(", ")} resumes`;
	const resume =
		again.length === 0
			? ""
			: `${it} at the instruction that killed it: restore it stopped (-s) and change what made it fail\n`;
	return `${paint.green("patched")} ${escapeText(target)}: ${who}; ${summaryOf(findings)}\n${resume}next: necromancer restore -i ${escapeText(target)} -d\n`;
}

/** The outcome for programs. Of several cores: a list of processes instead of one's fields. */
export function patchedJson(
	deads: readonly PartialTask[],
	{ tasks, findings }: PatchedTree,
	target: string | undefined,
): string {
	const processes = tasks.map(({ identity: { pid, comm }, threads }, i) => {
		const { tid, signal, words, synchronous } = deads[i]?.death ?? {};
		return { pid, comm, threads: threads.map((thread) => thread.tid), death: { tid, signal, words, synchronous } };
	});
	const [only] = processes;
	return jsonText({
		...{ schema: 1, kind: "patch", written: target ?? null },
		...(processes.length === 1 ? only : { processes }),
		findings,
	});
}
