import { defined } from "../bytes/defined.ts";
import type { FileWriters } from "../bytes/source.ts";
import { refuse } from "../errors.ts";
import type { Finding } from "../finding.ts";
import type { PartialTask } from "../forest/partial-task.ts";
import { type SoftLimits, withSoftLimits } from "../forest/soft-limits.ts";
import type { Task } from "../forest/task.ts";
import { NO_LIMIT } from "../linux/resource.ts";
import { S_IFREG } from "../linux/stat.ts";
import { evidenceIn } from "../understand/evidence/evidence.ts";
import { type UnderstandOptions, understand } from "../understand/understand.ts";
import { type HostFiles, type JudgedHost, judgedHost } from "./binaries.ts";
import { withCurrentEnds } from "./current-ends.ts";
import type { Replacement } from "./identity.ts";

/** What is the same for all cores. */
export interface TreeOptions extends Pick<UnderstandOptions, "allowMismatch"> {
	readonly host: HostFiles;
	/** Soft limits that it gets; without one of its own RLIMIT_CORE is 0. */
	readonly softLimits?: SoftLimits;
}

/** A core, and what is known of it besides. */
export interface DeadProcess {
	readonly dead: PartialTask;
	/** Which process of the donor to replace, where it holds several. */
	readonly donorPid?: number;
	/**
	 * Checks the task before it is written, and returns the users who determine the images besides the writer; the donor's when
	 * absent.
	 */
	readonly writers?: (task: Task, donor: Task) => readonly FileWriters[];
	/** Evidence of the process's clocks besides core and donor. */
	readonly clock?: NonNullable<UnderstandOptions["clocks"]>;
	/** When the core was written, nanoseconds since 1970: a file that changed later is not what was mapped. */
	readonly writtenAt?: bigint;
}

/** A dead process as it will be in the images. */
export interface UnderstoodDead extends Replacement {
	readonly core: DeadProcess;
	readonly donor: Task;
	readonly judged: JudgedHost;
	readonly donorThreads: ReadonlyMap<number, number>;
	readonly donorObjects: ReadonlyMap<number, number>;
	readonly writers?: readonly FileWriters[];
}

/** @throws NecromancerError where donor and core do not fit. */
export function understoodDead(
	core: DeadProcess,
	donor: Task,
	{ host, softLimits = new Map(), allowMismatch }: TreeOptions,
	report: (finding: Finding) => void,
): UnderstoodDead {
	const { dead } = core;
	if (dead.leaderEnded === true)
		refuse("ERR_UNSUPPORTED", {
			subject: `process ${dead.pid}`,
			finding: "had gone on although its first thread had ended",
			expectation: "which CRIU's images have no place for",
			remedy: "raise it from its core: necromancer raise CORE -i IMGDIR",
		});
	const judged = judgedHost(dead, donor.memory.files, host);
	const { task, findings, donorThreads, donorObjects } = understand(dead, evidenceIn(dead, judged.open), donor, {
		ownerOf: (path) => host.ownerOf?.(path),
		modeOf: (path) => (host.sizeOf?.(path) === undefined ? undefined : S_IFREG),
		clocks: core.clock ?? {},
		...defined({ allowMismatch }),
	});
	for (const finding of findings) report(finding);
	const writers = core.writers?.(task, donor);
	const limited = withSoftLimits(task, softLimits, () => NO_LIMIT, report);
	return {
		...{ core, donor, judged, donorThreads, donorObjects, donorPid: donor.identity.pid },
		task: { ...limited, files: withCurrentEnds(limited.files, host, report) },
		...defined({ writers }),
	};
}
