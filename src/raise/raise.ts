import { isPageAligned } from "../bytes/address.ts";
import { defined } from "../bytes/defined.ts";
import type { FileRange } from "../bytes/range.ts";
import type { FileWriters } from "../bytes/source.ts";
import { requireUnchanged } from "../bytes/unchanged.ts";
import { readCore } from "../core/core.ts";
import { refuse } from "../errors.ts";
import { caution, type Finding, note } from "../finding.ts";
import { clocksWhenWritten, otherClocksWhenWritten } from "../host/clocks.ts";
import { measurePids } from "../host/pids.ts";
import { modeOf } from "../inputs/mode-of.ts";
import { NO_LIMIT } from "../linux/resource.ts";
import { readLimits } from "../proc/limits.ts";
import type { IdChoice } from "../restore/ids.ts";
import { chooseIds } from "../restore/ids.ts";
import { type Restored, type RestoreOptions, rehearse, restore } from "../restore/restore.ts";
import { authorsOf } from "../rights/authors.ts";
import { requireDonorOf } from "../rights/donor-rights.ts";
import { isAlone, ourRights, primaryGroup } from "../rights/our-rights.ts";
import { privilegeOf } from "../rights/privilege.ts";
import { withinRights } from "../rights/within-rights.ts";
import { complete } from "../task/complete/complete.ts";
import { type DeadClockOptions, type GivenClock, withDeadClocks } from "../task/deduce/dead-clocks.ts";
import { deduce } from "../task/deduce/deduce.ts";
import { leaveHandlers } from "../task/evidence/leave-handlers.ts";
import { endAtFiles } from "../task/file-ends.ts";
import { taskFromCore } from "../task/from-core/from-core.ts";
import type { PartialTask } from "../task/partial-task.ts";
import type { OpenObject } from "../task/program-objects.ts";
import { programBreak } from "../task/program-objects.ts";
import { relocate, relocateDonor } from "../task/relocate.ts";
import { type SoftLimits, withSoftLimits } from "../task/soft-limits.ts";
import type { Credentials, Task } from "../task/task.ts";
import { withFoundObjects } from "./found-objects.ts";
import { type FileSearch, type FoundFiles, findMappedFiles } from "./mapped-files.ts";
import type { OpenedCore } from "./open-core.ts";
import { zeroRangesOf } from "./zero-runs.ts";

export interface RaiseOptions extends Omit<RestoreOptions, "tracer">, Omit<FileSearch, "reader" | "writtenAt"> {
	/** Which ids it gets; `chooseIds` decides when absent. */
	readonly ids?: IdChoice;
	/** A debugger that we start will attach to it. */
	readonly debugged?: boolean;
	/** Lends what a core cannot know: files, handlers, timers, limits. Without one these are deduced, or as in a new process. */
	readonly donor?: Task;
	/** The users who can have written the donor's images, and their name in messages; trusted when absent. */
	readonly donorImages?: { readonly name: string; readonly writers: readonly FileWriters[] };
	/** Findings about the donor from its reader, reported with the others. */
	readonly donorFindings?: readonly Finding[];
	/** Give it the rights that the core says it had, though the core's owner may have fewer. */
	readonly trust?: boolean;
	/** Put threads that died in a crash's handlers back where the signal had come. */
	readonly leaveHandlers?: boolean;
	/** Take a core that was cut short, without what is missing. */
	readonly truncated?: boolean;
	/** Soft limits that it gets; without one of its own RLIMIT_CORE is 0. */
	readonly softLimits?: SoftLimits;
	/** Called with the plan before anything is made. */
	readonly before?: (planned: RaisePlan) => void;
	/** The device file of a terminal, for descriptors 0, 1 and 2. */
	readonly tty?: string;
	/** What CLOCK_MONOTONIC is to show; deduced when absent. */
	readonly clock?: GivenClock;
}

/** What a core will be raised as: the task, and the findings on the way. */
export interface RaisePlan {
	readonly dead: PartialTask;
	readonly task: Task;
	readonly findings: readonly Finding[];
}

export interface Raised extends RaisePlan {
	readonly restored: Restored;
}

/**
 * Brings the process of a core back to life. No image is written: pages go from the core to their place. What a core cannot
 * know comes from the donor, or is deduced.
 *
 * @throws NecromancerError for a core that is damaged, mapped files that are others or missing, and what `restore` throws.
 */
export async function raise(core: OpenedCore, options: RaiseOptions): Promise<Raised> {
	const { planned, how } = await prepared(core, options);
	options.before?.(planned);
	const restored = await restore(planned.task, how);
	return { ...planned, findings: [...planned.findings, ...restored.findings], restored };
}

/**
 * The plan of a raise. Makes nothing, and refuses what `raise` refuses before it makes anything.
 *
 * @throws NecromancerError as `raise` does.
 */
export async function rehearseRaise(core: OpenedCore, options: RaiseOptions): Promise<RaisePlan> {
	const { planned, how } = await prepared(core, options);
	const plan = await rehearse(planned.task, how);
	return { ...planned, findings: [...planned.findings, ...plan.findings] };
}

async function prepared(
	core: OpenedCore,
	options: RaiseOptions,
): Promise<{ readonly planned: RaisePlan; readonly how: RestoreOptions }> {
	// zeros need not be read or mapped; with --lazy nothing is read now
	const planned = planRaise(core, options, options.lazy === true ? [] : await zeroRangesOf(core.source));
	const { task } = planned;
	const ids = options.ids ?? chooseIds(task, await measurePids(task.threads.map(({ tid }) => tid)));
	// our own id means nothing in another pid namespace
	const tracer = ids === "namespace" ? "anybody" : process.pid;
	const how: RestoreOptions = {
		...options,
		requireUnchanged: () => {
			// nobody else can reach a copy of ours
			if (!core.temporary) requireUnchanged([core.source]);
			options.requireUnchanged?.();
		},
		ids,
		byCaller: new Set([...options.fds.keys(), ...(options.tty === undefined ? [] : [0, 1, 2])]),
		// without a donor they are the task's own already
		...(options.donor === undefined ? { fds: new Map<number, string>() } : {}),
		...(options.debugged === true ? { tracer } : {}),
	};
	return { planned, how };
}

/**
 * The process that `raise` would make, understood from its core.
 *
 * @param holes of the core's file, where they are known: their zeros are not read.
 */
export function planRaise(core: OpenedCore, options: RaiseOptions, holes: readonly FileRange[] = []): RaisePlan {
	const whole = taskFromCore(readCore(core.source, { truncated: options.truncated === true }), holes);
	const us = ourRights();
	const { shared } = authorsOf([core.writers], isAlone);
	const {
		credentials,
		foreign,
		findings: rights,
	} = privilegeOf({
		name: core.name,
		dead: whole,
		core: core.owner,
		shared,
		us,
		trust: options.trust === true,
		primaryGroup,
	});
	if (foreign && !options.stopped && options.trust !== true)
		refuse("ERR_UNTRUSTED", {
			subject: core.name,
			finding: `is uid ${core.owner.uid}'s${shared ? ", though others can have written it" : ""}, and what it runs would have the rights of uid ${us.uid}, who raises it`,
			expectation: "expected a core of our own",
			remedy: "leave it stopped and look at it, or let it run with --trust",
		});
	if (options.donorImages !== undefined && options.trust !== true)
		requireDonorOf(credentials, {
			...options.donorImages,
			lends: options.donor ?? { memory: {} },
			us,
			runs: !options.stopped,
			alone: isAlone,
		});
	const files = findMappedFiles(whole, {
		...options,
		...(options.trust === true ? {} : { reader: credentials }),
		...writtenAt(core),
	});
	const before: Finding[] = [];
	const here = endAtFiles(relocate(whole, files), files.sizes);
	const dead =
		options.leaveHandlers === true
			? withFoundObjects(files, (open) => leaveHandlers(here, open, (finding) => before.push(finding)))
			: here;
	const donor = options.donor === undefined ? {} : { donor: relocateDonor(believed(options.donor, options), files) };
	const { task: known, findings } = understood(dead, files, credentials, core, {
		...options,
		...donor,
	});
	const limits = readLimits("self");
	const limiting: Finding[] = [];
	const task = withSoftLimits(
		known,
		options.softLimits ?? new Map(),
		(number) => limits[number]?.hard ?? NO_LIMIT,
		(finding) => limiting.push(finding),
	);
	const lazy = options.lazy === true ? [memoryIn(core), ...unaligned(dead, core)] : [];
	const said = [
		...files.findings,
		...(options.donorFindings ?? []),
		...rights,
		...before,
		...lazy,
		...findings,
		...limiting,
	];
	// with our own uid it has our rights: no file needs to be checked
	if (options.trust === true || credentials.uid === us.uid) return { dead, task, findings: said };
	const { fds, missing, tty } = options;
	const within = withinRights(task, {
		...{ reader: credentials, fds, missing, limits },
		...defined({ tty }),
	});
	return { dead, task: within.task, findings: [...said, ...within.findings] };
}

function understood(
	dead: PartialTask,
	files: FoundFiles,
	credentials: Credentials,
	core: OpenedCore,
	options: RaiseOptions,
): Pick<RaisePlan, "task" | "findings"> {
	return withFoundObjects(files, (open) => {
		const { task, findings } = withoutClocks(dead, credentials, open, options);
		const clocked = withDeadClocks(task, dead, { open, ...clockOptions(core, options) });
		return { task: clocked.task, findings: [...findings, clocked.finding] };
	});
}

function clockOptions({ written }: OpenedCore, { clock, donor }: RaiseOptions): Omit<DeadClockOptions, "open"> {
	const host = written === undefined ? undefined : clocksWhenWritten(written);
	return {
		...defined({ host }),
		others: written === undefined ? [] : otherClocksWhenWritten(written, donor?.clocks?.origin),
		...defined({ given: clock }),
		...(donor?.clocks === undefined ? {} : { donor: donor.clocks }),
	};
}

function withoutClocks(
	dead: PartialTask,
	credentials: Credentials,
	open: OpenObject,
	{ donor, ...options }: RaiseOptions,
): Pick<RaisePlan, "task" | "findings"> {
	if (donor === undefined) return deduce(dead, { ...options, open, modeOf, credentials });
	const known = programBreak(dead.memory, open);
	const { allowMismatch = false } = options;
	const completed = complete(dead, donor, {
		allowMismatch,
		...defined({ programBreak: known }),
	});
	if (options.trust === true) return completed;
	return { ...completed, task: { ...completed.task, threads: limited(completed.task, credentials) } };
}

/** A donor's file identities prove nothing for another process: they are dropped unless trusted. */
function believed(donor: Task, { trust }: Pick<RaiseOptions, "trust">): Task {
	const { identities: _said, ...files } = donor.files;
	return trust === true ? donor : { ...donor, files };
}

/** Threads with the credentials of the core's owner, not those in the donor's images. */
const limited = ({ threads }: Task, credentials: Credentials): Task["threads"] =>
	threads.map((thread) => ({ ...thread, credentials }));

/** Warns that a lazy process maps the core: truncating the file would raise SIGBUS in it. Not so for our unpacked copy. */
const memoryIn = ({ name, temporary }: OpenedCore): Finding =>
	temporary
		? note(
				"lazy",
				name,
				"memory is mapped from an unpacked copy, which takes up disk space as long as the process lives",
			)
		: caution(
				"lazy",
				name,
				"memory is mapped from it: leave it as it is while the process lives; cut short, it ends the process with SIGBUS",
			);

/** Only what begins on a page of the core can be mapped from it. */
function unaligned({ memory }: PartialTask, { name, source }: OpenedCore): Finding[] {
	const parts = memory.contents.filter((content) => content.source === source && !isPageAligned(content.offset));
	const bytes = parts.reduce((sum, { available }) => sum + available, 0n);
	if (bytes === 0n) return [];
	return [
		caution(
			"lazy",
			name,
			`${bytes} bytes do not begin on a page of it (gdb writes cores so), and are read all the same: that takes its time`,
		),
	];
}

/** When the core was written; unknown for our own unpacked copy. */
const writtenAt = ({ written, temporary }: OpenedCore): Pick<FileSearch, "writtenAt"> =>
	temporary || written === undefined ? {} : { writtenAt: Number(written) / 1e6 };
