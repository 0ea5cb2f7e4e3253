import { defined } from "../../bytes/defined.ts";
import { refuse } from "../../errors.ts";
import type { Finding } from "../../finding.ts";
import type { PartialTask } from "../../forest/partial-task.ts";
import { signalName } from "../../linux/signal.ts";
import { ifShown } from "../../proc/if-shown.ts";
import { readStatus } from "../../proc/status.ts";
import { type Raised, raise, rehearseRaise } from "../../raise/raise.ts";
import type { RaisePlan } from "../../raise/raise-options.ts";
import type { Restored } from "../../restore/restore.ts";
import { findingsText, leftoverText } from "../findings.ts";
import { follow } from "../follow.ts";
import { findGdb, runGdb } from "../gdb.ts";
import { untilInterrupted } from "../interrupt.ts";
import { endRestored, killUnlessTold, writePidfile } from "../pidfile.ts";
import type { RaiseChoices } from "../raise-choices.ts";
import { openTerminal, type Terminal } from "../terminal.ts";
import { withCore } from "../with-core.ts";
import { checkedJson, checkedText, keptText, type LeftAs, raisedJson, raisedText } from "./text.ts";

export interface RaiseVerb extends RaiseChoices {
	readonly gdbArgs: readonly string[];
	readonly gdb?: boolean;
	readonly keep?: boolean;
	readonly pidfile?: string;
	readonly check?: boolean;
	readonly json?: boolean;
	readonly quiet?: boolean;
	readonly verbose?: boolean;
}

/**
 * `necromancer raise CORE`: from a core to a living process.
 *
 * @returns our exit status: with `--wait` the process's own, with `--gdb` gdb's.
 */
export async function raiseVerb(verb: RaiseVerb): Promise<number> {
	const terminal = openTerminal(process);
	const gdb = verb.gdb === true && verb.check !== true ? findGdb(process.env["PATH"]) : undefined;
	const outcome = await untilInterrupted((signal) => fromCore(verb, terminal, signal));
	if (!("restored" in outcome)) {
		if (verb.json === true) terminal.out(checkedJson(outcome));
		else if (verb.quiet !== true)
			terminal.out(
				findingsText(outcome.findings, verb.verbose === true, terminal.paint) + checkedText(outcome, terminal.paint),
			);
		return 0;
	}
	const { restored } = outcome;
	if (verb.run === true) await requireLife(restored, outcome.dead);
	await killUnlessTold(restored, async () => {
		if (verb.pidfile !== undefined) writePidfile(verb.pidfile, restored);
		await tell(verb, outcome, terminal);
	});
	if (gdb !== undefined) return await withGdb(gdb, verb, outcome, terminal);
	if (verb.wait === true) return await follow(restored, terminal);
	await restored.release();
	return 0;
}

/** @throws NecromancerError ERR_DIED_AGAIN where it was killed before it got anywhere. */
async function requireLife(restored: Restored, { pid, death }: PartialTask): Promise<void> {
	const end = await restored.earlyEnd();
	if (end?.kind !== "killed") return;
	await restored.release();
	refuse("ERR_DIED_AGAIN", {
		subject: `process ${pid}`,
		finding: `was killed by ${signalName(end.signal)} as soon as it went on`,
		expectation: `expected it to live; it had died of ${death.words}`,
		remedy: "leave out --run, or give --gdb, and change what made it fail first",
	});
}

/** Reads the core and raises it; with `--check` only plans. */
const fromCore = (verb: RaiseVerb, terminal: Terminal, signal: AbortSignal): Promise<Raised | RaisePlan> =>
	withCore(verb, terminal, { signal, quiet: verb.quiet === true }, async (core, given) => {
		const options = { ...given, debugged: verb.gdb === true };
		if (verb.check === true) return await rehearseRaise(core, options);
		signal.throwIfAborted();
		const raised = await raise(core, { ...options, before: ({ findings }) => tellRights(verb, findings, terminal) });
		if (signal.aborted) {
			await endRestored(raised.restored);
			signal.throwIfAborted();
		}
		return raised;
	});

/** Reports the credentials before the process is made. */
function tellRights({ json, quiet }: RaiseVerb, findings: readonly Finding[], { out, paint }: Terminal): void {
	if (json !== true && quiet !== true) out(findingsText(findings.filter(isAboutRights), false, paint));
}

const isAboutRights = ({ code, weight }: Finding): boolean => code === "credentials" && weight !== "note";

async function tell(verb: RaiseVerb, raised: Raised, { deliver, paint }: Terminal): Promise<void> {
	const left: LeftAs = verb.gdb === true ? "to gdb" : verb.run === true || verb.wait === true ? "running" : "stopped";
	const outcome = { raised, left };
	const { leftover, findings: late } = raised.restored;
	const untold = raised.findings.filter((finding) => !isAboutRights(finding) || late.includes(finding));
	if (verb.json === true) await deliver("out", raisedJson(outcome));
	else if (verb.quiet !== true)
		await deliver(
			"out",
			findingsText(untold, verb.verbose === true, paint) +
				(leftover === undefined ? "" : leftoverText(leftover, paint)) +
				raisedText(outcome, paint),
		);
}

/** Runs gdb on the terminal, and kills the process afterwards unless --keep is given. */
async function withGdb(gdb: string, verb: RaiseVerb, { restored, task }: Raised, { out }: Terminal): Promise<number> {
	const target = {
		pid: restored.livingThread,
		executable: task.memory.executable,
		...defined({ sysroot: verb.sysroot }),
	};
	let keep = false;
	try {
		const status = await runGdb(gdb, target, verb.gdbArgs);
		keep = verb.keep === true;
		return status;
	} finally {
		if (keep) {
			if (verb.quiet !== true) out(keptText(restored.pid, stateOf(restored.livingThread)));
			await restored.release();
		} else await endRestored(restored);
	}
}

/** "T (stopped)" and the like, its letter; `undefined` for what has ended. */
const stateOf = (pid: number): string | undefined => ifShown(() => readStatus(pid))?.state;
