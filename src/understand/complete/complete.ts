import type { Address } from "../../bytes/address.ts";
import { defined } from "../../bytes/defined.ts";
import { type Finding, lostAtDump } from "../../finding.ts";
import type { PartialTask } from "../../forest/partial-task.ts";
import type { Task } from "../../forest/task.ts";
import { layoutMappings, layoutOf } from "../donor/address-layout.ts";
import { withMovedWords } from "../donor/epoll-words.ts";
import { matchMemfds } from "../donor/memfds.ts";
import { rebase } from "../donor/rebase.ts";
import { requireSameProgram } from "../donor/same-program.ts";
import { pairThreads } from "../donor/thread-pairs.ts";
import { withEndedLeader } from "../ended-leader.ts";
import { reportDeath } from "../evidence/death.ts";
import { reportNotDumped, requireCode } from "../evidence/not-in-core.ts";
import { reportProcessPending } from "../evidence/pending.ts";
import { withStackGuards } from "../evidence/stack-guards.ts";
import { completeIdentity } from "../identity.ts";
import { withoutTemporaryMasks } from "../sleeping-masks.ts";
import { completePosixTimers, intervalTimerFindings } from "../timers.ts";
import { completeBounds } from "./bounds.ts";
import { completeCredentials } from "./credentials.ts";
import { completeFiles } from "./files.ts";
import { completeMemory } from "./memory.ts";
import { completeSignalActions } from "./signals.ts";
import { completeThreads } from "./threads.ts";

export interface Completed {
	readonly task: Task;
	/** Thread id → the donor's thread that lent it what a core cannot know. */
	readonly donorThreads: ReadonlyMap<number, number>;
	readonly findings: readonly Finding[];
}

export interface CompleteOptions {
	/** Go on although a binary of the donor is not the one the dead process had, or its code is gone. */
	readonly allowMismatch?: boolean;
	/** The exact program break, where it is known (see program-break.ts). */
	readonly programBreak?: Address;
}

/**
 * Makes a whole process of what a core tells (memory, registers) and what a donor knows (files, handlers, timers,
 * limits). The core defines the address space; whatever address the donor carries goes through one {@link rebase}.
 *
 * @throws NecromancerError ERR_DONOR_MISMATCH, ERR_BINARY_MISMATCH, ERR_CORE_PARTIAL
 */
export function complete(dead: PartialTask, donor: Task, options: CompleteOptions = {}): Completed {
	const findings: Finding[] = [];
	const report = (finding: Finding): void => void findings.push(finding);

	for (const doubt of dead.doubts ?? []) report(doubt);
	reportDeath(dead, report);
	requireSameProgram(dead, donor, options.allowMismatch ?? false, report);
	requireCode(dead, options.allowMismatch ?? false);
	reportNotDumped(dead, report);
	const bounds = completeBounds(dead, donor, options.programBreak, report);
	const moved = rebase(layoutOf(donor.memory), {
		mappings: layoutMappings(dead.memory, donor.memory.executable),
		...bounds.anchors,
	});
	const pairs = pairThreads(dead, donor, report);
	const ownMemory = completeMemory(dead, donor.memory, bounds.bounds, pairs, report);
	const credentials = completeCredentials(dead, donor, report);
	const asleep = withEndedLeader(dead, completeThreads(dead, pairs, { moved, credentials, report }), report);
	const signalActions = completeSignalActions(donor, moved, report);
	const threads = withoutTemporaryMasks(asleep, dead, signalActions, report);
	const posixTimers = completePosixTimers(donor, moved, pairs, dead.pid, report);
	intervalTimerFindings(donor, report);
	reportProcessPending(dead, report);
	for (const { subject, text } of donor.losses ?? []) report(lostAtDump("the donor", subject, text));
	const lent = withMovedWords(completeFiles(dead, donor, report), { dead, donor, moved }, report);
	const { memory, files } = matchMemfds(ownMemory, lent, donor, report);
	const identity = completeIdentity(dead, donor, report);
	return {
		task: {
			identity,
			threads,
			memory: withStackGuards(memory, dead, report),
			signalActions,
			posixTimers,
			files,
			intervalTimers: donor.intervalTimers,
			limits: donor.limits,
			pending: [],
			stopped: false,
			...defined({ attributes: donor.attributes, losses: donor.losses }),
		},
		donorThreads: new Map(pairs.map((pair) => [pair.dead.tid, pair.donor.tid])),
		findings,
	};
}
