import { resolve } from "node:path";
import { defined } from "../../bytes/defined.ts";
import type { MissingDescriptors } from "../../dump/descriptor-policy.ts";
import { type Dumped, dump } from "../../dump/dump.ts";
import type { Losable } from "../../dump/losable.ts";
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
	readonly missingFds?: MissingDescriptors;
	readonly allowLost?: ReadonlySet<Losable>;
	readonly sync?: boolean;
	readonly json?: boolean;
	readonly quiet?: boolean;
	readonly verbose?: boolean;
}

/** `necromancer dump -t PID -i DIR`: a living process as images. Interrupted, it leaves the process as it was, and no images. */
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
			...defined({ allowLost: verb.allowLost }),
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

/** What was dumped, what became of the process, and what to do next. */
function summaryText(verb: DumpVerb, dumped: Dumped, { paint }: Terminal): string {
	const { task, frozen } = dumped;
	const { pid, comm } = task.identity;
	const [threads, mappings] = [task.threads.length, task.memory.mappings.length];
	const memory = verb.pages === false ? "without its memory" : sizeText(writtenBytes(dumped));
	const images = escapeText(verb.images);
	const next =
		verb.pages === false
			? `necromancer -c CORE -i ${images}`
			: `necromancer restore -i ${images} -d${verb.leaveRunning === true ? `, when process ${pid} is gone` : ""}`;
	return (
		`${paint.green("dumped")} ${escapeText(comm)} (pid ${pid}, ${threads} thread${threads === 1 ? "" : "s"}, ` +
		`${mappings} mappings, ${memory}) to ${images}; it stood still for ${frozen} ms and ${fateOf(verb)}\nnext: ${next}\n`
	);
}

const fateOf = ({ leaveStopped, leaveRunning, tree }: DumpVerb): string => {
	if (leaveStopped === true) return `is stopped: kill -CONT ${tree} lets it go on`;
	return leaveRunning === true ? "goes on" : "was ended";
};

const writtenBytes = ({ written }: Dumped): bigint =>
	[...written.pages.values()].reduce((sum, { bytes }) => sum + BigInt(bytes), 0n);

/** The outcome for programs. */
const dumpedJson = (verb: DumpVerb, dumped: Dumped): string => {
	const { identity, threads, memory } = dumped.task;
	return jsonText({
		schema: 1,
		kind: "dump",
		written: verb.images,
		pid: identity.pid,
		comm: identity.comm,
		threads: threads.map(({ tid }) => tid),
		mappings: memory.mappings.length,
		bytes: Number(writtenBytes(dumped)),
		frozen: dumped.frozen,
		process: verb.leaveStopped === true ? "stopped" : verb.leaveRunning === true ? "running" : "ended",
		findings: dumped.findings,
	});
};
