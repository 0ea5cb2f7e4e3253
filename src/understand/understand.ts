import { defined } from "../bytes/defined.ts";
import { caution, type Finding, lostAtDump } from "../finding.ts";
import type { PartialTask } from "../forest/partial-task.ts";
import type { Credentials, Task } from "../forest/task.ts";
import { understandBounds } from "./bounds.ts";
import { understandCredentials } from "./credentials.ts";
import { type DeadClockOptions, withDeadClocks } from "./dead-clocks.ts";
import { matchMemfds } from "./donor/memfds.ts";
import { movedDonor } from "./donor/moved-donor.ts";
import { requireSameProgram } from "./donor/same-program.ts";
import { reportDeath } from "./evidence/death.ts";
import type { Evidence } from "./evidence/evidence.ts";
import { reportNotDumped, requireCode } from "./evidence/not-in-core.ts";
import { reportProcessPending } from "./evidence/pending.ts";
import { reportRuntimes } from "./evidence/runtimes.ts";
import { longLived } from "./evidence/search.ts";
import { withStackGuards } from "./evidence/stack-guards.ts";
import { type FilesOptions, understandFiles } from "./files.ts";
import { understandIdentity } from "./identity.ts";
import { understandMemory } from "./memory.ts";
import { understandSignalActions } from "./signals.ts";
import { withoutTemporaryMasks } from "./sleeping-masks.ts";
import { understandThreads } from "./threads.ts";
import { understandTimers } from "./timers.ts";

/** What whoever asks has decided, and how this host looks. */
export interface UnderstandOptions extends FilesOptions {
	/** Go on although code of the process is gone, or a binary of the donor is not the one that it had. */
	readonly allowMismatch?: boolean;
	/** For all threads, instead of the dead process's own. */
	readonly credentials?: Credentials;
	/** What besides core and donor tells its clocks. Absent: it is to have those of its host, whatever they show. */
	readonly clocks?: Omit<DeadClockOptions, "evidence" | "places" | "donor">;
}

/** A whole process, and what had to be said on the way. */
export interface Understood {
	readonly task: Task;
	readonly findings: readonly Finding[];
	/** Thread id → the donor's thread that lent it what a core cannot know. */
	readonly donorThreads: ReadonlyMap<number, number>;
	/** Ids of shared memory → of the donor's that it is. */
	readonly donorObjects: ReadonlyMap<number, number>;
}

/**
 * Makes a whole process of a dead one. Of each matter — memory, bounds, threads, signals, timers, identity, credentials, files,
 * clocks — the core is believed first, then what it proves, then a donor (the same program, seen alive) whose addresses
 * are moved, then what a new process has: see witnesses.ts. What is no plain copy of the core is a finding, which says whose
 * word it is. Pure.
 *
 * @param evidence of the same core (evidence/evidence.ts)
 * @throws NecromancerError ERR_CORE_PARTIAL when the stack of a thread is not in the core, ERR_DONOR_MISMATCH,
 * ERR_BINARY_MISMATCH, ERR_BINARY_MISSING.
 */
export function understand(
	core: PartialTask,
	evidence: Evidence,
	donor: Task | undefined,
	options: UnderstandOptions,
): Understood {
	const findings: Finding[] = [];
	const report = (finding: Finding): void => void findings.push(finding);
	const { allowMismatch = false, credentials } = options;
	// what a donor had mapped is believed before what the headers of its files say (see protections.ts)
	const dead = donor === undefined ? evidence.linked : core;

	for (const doubt of dead.doubts ?? []) report(doubt);
	reportDeath(dead, report);
	if (donor !== undefined) requireSameProgram(dead, donor, allowMismatch, report);
	requireCode(dead, allowMismatch);
	reportNotDumped(dead, report);
	const bounds = understandBounds(dead, evidence, donor, report);
	const places = longLived(dead, bounds);
	const lender = donor === undefined ? undefined : movedDonor(donor, dead, bounds, report);
	const memory = understandMemory(dead, evidence, lender, bounds, report);
	const credentialsOf =
		credentials === undefined ? understandCredentials(dead, donor, report) : (): Credentials => credentials;
	const threads = understandThreads(dead, { evidence, donor: lender, credentialsOf, report });
	reportProcessPending(dead, report);
	const signalActions = understandSignalActions(dead, evidence, lender, report);
	if (donor === undefined) reportRuntimes(dead.memory, report);
	for (const { subject, text } of donor?.losses ?? []) report(lostAtDump("the donor", subject, text));
	const files = understandFiles(dead, evidence, lender, { bounds, places }, options, report);
	const matched = donor === undefined ? { memory, files, lent: new Map() } : matchMemfds(memory, files, donor, report);
	const timers = understandTimers(dead, lender, report);
	if (donor === undefined)
		report(
			caution(
				"default",
				"limits and the like",
				"are not in a core, nor are scheduling policy, CPU affinity and I/O priority, or guard regions (MADV_GUARD_INSTALL) but those of glibc's stacks: limits and affinity are those of the restorer",
			),
		);
	const task: Task = {
		identity: understandIdentity(dead, donor, report),
		// with a donor's handlers alone it is known which signals a thread must not take before it sleeps again
		threads:
			donor === undefined ? threads : withoutTemporaryMasks(threads, dead, evidence.calls, signalActions, report),
		memory: withStackGuards(matched.memory, dead, evidence.stacks, report),
		signalActions,
		...timers,
		files: matched.files,
		limits: donor?.limits ?? [],
		pending: [],
		stopped: false,
		...defined({ attributes: donor?.attributes, losses: donor?.losses }),
	};
	const donorThreads = new Map(lender?.pairs.map((pair) => [pair.dead.tid, pair.donor.tid]));
	const lent = { donorThreads, donorObjects: matched.lent };
	if (options.clocks === undefined) return { task, findings, ...lent };
	const clocked = withDeadClocks(task, dead, {
		...options.clocks,
		...{ evidence, places },
		...defined({ donor: donor?.clocks }),
	});
	report(clocked.finding);
	return { task: clocked.task, findings, ...lent };
}
