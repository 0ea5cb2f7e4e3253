import { resolve } from "node:path";
import { defined } from "../../bytes/defined.ts";
import type { MissingDescriptors } from "../../dump/descriptor-policy.ts";
import { type Dumped, dump } from "../../dump/dump.ts";
import type { Losable } from "../../dump/losable.ts";
import type { Task } from "../../forest/task.ts";
import { findingsText } from "../findings.ts";
import { untilInterrupted } from "../interrupt.ts";
import { jsonText } from "../json-text.ts";
import { openProgress, type Progress } from "../progress.ts";
import { sizeText } from "../size-text.ts";
import { escapeText, openTerminal, type Terminal } from "../terminal.ts";

export interface DumpVerb {
	/** The process. */
	readonly tree: number;
	readonly images: string;
	readonly leaveRunning?: boolean;
	readonly leaveStopped?: boolean;
	/** `false` for --no-pages. */
	readonly pages?: boolean;
	readonly shellJob?: boolean;
	readonly missingFds?: MissingDescriptors;
	/** `false` for --no-file-locks. */
	readonly fileLocks?: boolean;
	readonly allowLost?: ReadonlySet<Losable>;
	readonly sync?: boolean;
	readonly json?: boolean;
	readonly quiet?: boolean;
	readonly verbose?: boolean;
}

/** `necromancer dump -t PID -i DIR`: a living process and all that come from it as images. Interrupted, it leaves them as they were, and no images. */
export async function dumpVerb(verb: DumpVerb): Promise<void> {
	const terminal = openTerminal(process);
	const silent = verb.quiet === true || verb.json === true;
	let progress: Progress | undefined;
	const dumped = await untilInterrupted((signal) =>
		dump(verb.tree, {
			images: resolve(verb.images),
			afterwards: verb.leaveStopped === true ? "stop" : verb.leaveRunning === true ? "run" : "end",
			pages: verb.pages !== false,
			missing: verb.missingFds ?? "error",
			shellJob: verb.shellJob === true,
			...defined({ allowLost: verb.allowLost, locks: verb.fileLocks }),
			sync: verb.sync ?? false,
			signal,
			announce: (bytes) => {
				progress = openProgress(terminal, silent ? 0n : bytes);
			},
			progress: (bytes) => progress?.advance(bytes),
		}),
	).finally(() => progress?.end());
	if (verb.json === true) terminal.out(dumpedJson(verb, dumped));
	else if (verb.quiet !== true)
		terminal.out(
			findingsText(dumped.findings, verb.verbose === true, terminal.paint) + summaryText(verb, dumped, terminal),
		);
}

/** What was dumped, what became of it, and what to do next. */
function summaryText(verb: DumpVerb, dumped: Dumped, { paint }: Terminal): string {
	const { processes, zombies } = dumped.forest;
	const pid = verb.tree;
	const several = processes.length + zombies.length > 1;
	const parts = [
		`pid ${pid}`,
		...(several ? [counted(processes.length, "process", "processes")] : []),
		...(zombies.length === 0 ? [] : [`${zombies.length} that had ended`]),
		counted(
			sumOver(dumped, ({ threads }) => threads.length),
			"thread",
			"threads",
		),
		`${sumOver(dumped, ({ memory }) => memory.mappings.length)} mappings`,
		verb.pages === false ? `without ${several ? "their" : "its"} memory` : sizeText(writtenBytes(dumped)),
	];
	const images = escapeText(verb.images);
	const gone = several ? "when they are gone" : `when process ${pid} is gone`;
	const root = processes[0]?.identity;
	const isJob = verb.shellJob === true && root !== undefined && root.sid !== root.pid;
	const next =
		verb.pages === false
			? `necromancer -c CORE -i ${images}`
			: `necromancer restore -i ${images} ${isJob ? "--shell-job" : "-d"}${verb.leaveRunning === true ? `, ${gone}` : ""}`;
	return (
		`${paint.green("dumped")} ${escapeText(processes[0]?.identity.comm ?? "")} (${parts.join(", ")}) to ${images}; ` +
		`${several ? "they" : "it"} stood still for ${dumped.frozen} ms and ${fateOf(verb, dumped)}\nnext: ${next}\n`
	);
}

function fateOf({ leaveStopped, leaveRunning }: DumpVerb, { forest: { processes } }: Dumped): string {
	const several = processes.length > 1;
	const ids = processes.map(({ identity }) => identity.pid).join(" ");
	if (leaveStopped === true)
		return `${several ? "are" : "is"} stopped: kill -CONT ${ids} lets ${several ? "them" : "it"} go on`;
	if (leaveRunning === true) return several ? "go on" : "goes on";
	return several ? "were ended" : "was ended";
}

const counted = (count: number, one: string, many: string): string => `${count} ${count === 1 ? one : many}`;

const sumOver = ({ forest }: Dumped, count: (task: Task) => number): number =>
	forest.processes.reduce((sum, task) => sum + count(task), 0);

const writtenBytes = ({ written }: Dumped): bigint =>
	[...written.pages.values()].reduce((sum, { bytes }) => sum + BigInt(bytes), 0n);

/** The outcome for programs: of the process itself, and of each that comes from it. */
const dumpedJson = (verb: DumpVerb, dumped: Dumped): string => {
	const { processes, zombies } = dumped.forest;
	const told = processes.map(({ identity: { pid, ppid, pgid, sid, comm }, threads, memory }) => ({
		...{ pid, ppid, pgid, sid, comm },
		threads: threads.map(({ tid }) => tid),
		mappings: memory.mappings.length,
	}));
	const [{ pid, comm, threads, mappings } = { pid: verb.tree }] = told;
	return jsonText({
		schema: 1,
		kind: "dump",
		written: verb.images,
		...{ pid, comm, threads, mappings },
		bytes: Number(writtenBytes(dumped)),
		frozen: dumped.frozen,
		process: verb.leaveStopped === true ? "stopped" : verb.leaveRunning === true ? "running" : "ended",
		processes: told,
		zombies,
		findings: dumped.findings,
	});
};
