import type { Raised } from "../../raise/raise.ts";
import type { RaisePlan } from "../../raise/raise-options.ts";
import { escapeText } from "../escape-text.ts";
import { summaryOf } from "../findings.ts";
import { FORGET_STOP } from "../gdb.ts";
import { jsonText } from "../json-text.ts";
import type { Paint } from "../terminal.ts";

export interface Outcome {
	readonly raised: Raised;
	readonly left: LeftAs;
}

/** Stopped, as by SIGSTOP; the same, for gdb to take over; or let go. */
export type LeftAs = "stopped" | "to gdb" | "running";

const STATE: Readonly<Record<LeftAs, string>> = {
	stopped: "it is stopped",
	"to gdb": "it is stopped, for gdb",
	running: "it goes on",
};

/** What came back, what had ended it, and what to do next. */
export function raisedText({ raised, left }: Outcome, paint: Paint): string {
	const { dead, task, restored } = raised;
	const { pid, livingThread, ids } = restored;
	const { pid: own } = task.identity;
	const other = { same: "", namespace: ` (${own} in its pid namespace)`, fresh: ` (it was ${own})` };
	const lines = [
		`${paint.green("raised")} ${escapeText(task.identity.comm)}: process ${pid}${other[ids]}, ${about(raised)}`,
		`  ${deathOf(dead)}; ${STATE[left]}`,
	];
	if (left !== "running" && dead.death.synchronous)
		lines.push(
			"  going on, it executes the instruction that killed it again: change what made it fail first (gdb: set, return, jump)",
		);
	if (left === "stopped") {
		const next = nextCommands(pid, livingThread, ids === "fresh" ? task.memory.executable : "");
		const width = Math.max(...next.map(([command]) => command.length)) + 4;
		lines.push(...next.map(([command, purpose]) => `  ${command.padEnd(width)}${paint.dim(purpose)}`));
	}
	return `${lines.join("\n")}\n`;
}

/**
 * What is left when gdb has gone.
 *
 * @param state The letter of its state, as proc(5) has them; `undefined` when it has ended.
 */
export function keptText(pid: number, state: string | undefined): string {
	if (state === undefined || "ZX".includes(state)) return `process ${pid} has ended\n`;
	return `process ${pid} ${"Tt".includes(state) ? `is stopped: kill -CONT ${pid} lets it go on` : "goes on"}\n`;
}

/** What would come back. */
export const checkedText = (planned: RaisePlan, paint: Paint): string =>
	`${paint.bold("check")}: ${escapeText(planned.task.identity.comm)}, process ${planned.task.identity.pid}, ${about(planned)}\n  ${deathOf(planned.dead)}; nothing was made\n`;

function about({ task, findings }: RaisePlan): string {
	const count = task.threads.length;
	return `${count} thread${count === 1 ? "" : "s"}; ${summaryOf(findings)}`;
}

const deathOf = ({ death: { signal, words, tid } }: RaisePlan["dead"]): string =>
	signal === 0 ? escapeText(words) : `it had died of ${escapeText(words)}, taken by thread ${tid}`;

/**
 * @param executable Where gdb has to be told: without privileges, /proc/PID/exe of a process with new ids is another file. A
 *   name that a shell might take for something else is left out.
 */
const nextCommands = (
	pid: number,
	thread: number,
	executable: string,
): readonly (readonly [command: string, purpose: string])[] => [
	[
		`gdb ${/^[\w./+@%-]+$/.test(executable) ? `${executable} ` : ""}-p ${thread} -iex "${FORGET_STOP}"`,
		"look into it, call its functions",
	],
	[`kill -CONT ${pid}`, "let it go on"],
	[`kill -KILL ${pid}`, "let it rest"],
];

/** The outcome for programs. */
export const raisedJson = ({ raised, left }: Outcome): string =>
	jsonText({
		...document(raised),
		pid: raised.restored.pid,
		/** How its own ids were given to it: "same", "namespace" or "fresh". */
		mode: raised.restored.ids,
		stopped: left !== "running",
	});

/** The same where nothing was made. */
export const checkedJson = (planned: RaisePlan): string => jsonText({ ...document(planned), pid: null });

const document = ({ dead: { death }, task, findings }: RaisePlan) => ({
	schema: 1,
	kind: "raise",
	comm: task.identity.comm,
	/** As the process knows them. */
	ids: { pid: task.identity.pid, threads: task.threads.map((thread) => thread.tid) },
	death: { tid: death.tid, signal: death.signal, words: death.words, synchronous: death.synchronous },
	findings,
});
