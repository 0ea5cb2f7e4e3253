import type { Finding } from "../../finding.ts";
import { caution, loss } from "../../finding.ts";
import type { PartialTask } from "../../forest/partial-task.ts";
import type { Credentials, Identity, IntervalTimer, Limit, Task } from "../../forest/task.ts";
import { reportDeath } from "../evidence/death.ts";
import { deduceDescriptors } from "../evidence/descriptors.ts";
import { reportNotDumped, requireCode } from "../evidence/not-in-core.ts";
import { reportProcessPending } from "../evidence/pending.ts";
import { withLinkedProtections } from "../evidence/program-headers.ts";
import type { OpenObject } from "../evidence/program-objects.ts";
import { reportRuntimes } from "../evidence/runtimes.ts";
import { longLived } from "../evidence/search.ts";
import { withStackGuards } from "../evidence/stack-guards.ts";
import { deduceWorkingDirectory } from "../working-directory.ts";
import { deduceBounds } from "./bounds.ts";
import { deduceCredentials } from "./credentials.ts";
import { deduceFiles, type FilesOptions } from "./files.ts";
import { deduceMemory } from "./memory.ts";
import { deduceSignalActions } from "./signals.ts";
import { deduceThreads } from "./threads.ts";

export interface DeduceOptions extends FilesOptions {
	/** This host's file of a path, if any: for symbol tables and program headers. Whether it is the right build is checked. */
	open: OpenObject;
	/** For all threads, instead of the dead process's own. */
	readonly credentials?: Credentials;
	/** By RLIMIT_ number; the restorer's own where absent. */
	readonly limits?: readonly Limit[];
	/** Go on although code of the process is gone. */
	readonly allowMismatch?: boolean;
	/** Working directory, instead of the one it was started in. */
	readonly cwd?: string;
}

export interface Deduced {
	readonly task: Task;
	readonly findings: readonly Finding[];
}

const UNARMED: IntervalTimer = { remaining: 0n, interval: 0n };

/**
 * Makes a whole process of what a core alone tells: memory and registers as they are, what threads had told the kernel as
 * far as their libc's records prove it, stand-ins for the descriptors that threads and event loops name, and for the rest
 * what a new process has. Everything that is no plain copy is a finding.
 *
 * @throws NecromancerError ERR_CORE_PARTIAL when the stack of a thread is not in the core.
 */
export function deduce(core: PartialTask, options: DeduceOptions): Deduced {
	const findings: Finding[] = [];
	const report = (finding: Finding): void => void findings.push(finding);
	const { open } = options;

	const dead = withLinkedProtections(core, open);
	for (const doubt of dead.doubts ?? []) report(doubt);
	reportDeath(dead, report);
	requireCode(dead, options.allowMismatch ?? false);
	reportNotDumped(dead, report);
	const bounds = deduceBounds(dead, open, report);
	const memory = deduceMemory(dead, bounds, report);
	const credentials = options.credentials ?? deduceCredentials(dead, report);
	const threads = deduceThreads(dead, { open, credentials, report });
	reportProcessPending(dead, report);
	const signalActions = deduceSignalActions(dead, open, report);
	reportRuntimes(dead.memory, report);
	const named = new Set(options.fds?.keys());
	const descriptors = deduceDescriptors(dead, longLived(dead, bounds), open, named, report);
	const files = {
		...deduceFiles(dead, descriptors, options, report),
		...deduceWorkingDirectory(dead, bounds, options, report),
	};
	report(
		loss(
			"timers",
			"timers",
			"are not in a core: none is armed, though it may have had some (alarm(2), setitimer(2), timer_create(2))",
		),
	);
	report(
		caution(
			"default",
			"limits and the like",
			"are not in a core, nor are scheduling policy, CPU affinity and I/O priority, or guard regions (MADV_GUARD_INSTALL) but those of glibc's stacks: limits and affinity are those of the restorer",
		),
	);
	return {
		task: {
			identity: identityOf(dead),
			...{ threads, memory: withStackGuards(memory, dead, report), signalActions, files },
			intervalTimers: { real: UNARMED, virtual: UNARMED, profiling: UNARMED },
			posixTimers: [],
			limits: options.limits ?? [],
			pending: [],
			stopped: false,
		},
		findings,
	};
}

const identityOf = ({ pid, ppid, pgid, sid, comm }: PartialTask): Identity => ({
	pid,
	ppid: ppid ?? 1,
	pgid: pgid ?? pid,
	sid: sid ?? pid,
	comm,
});
