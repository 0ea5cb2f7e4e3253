import { isPageAligned } from "../bytes/address.ts";
import { defined } from "../bytes/defined.ts";
import { caution, type Finding, note } from "../finding.ts";
import type { PartialTask } from "../forest/partial-task.ts";
import { withSoftLimits } from "../forest/soft-limits.ts";
import type { Credentials, Task } from "../forest/task.ts";
import { clocksWhenWritten, otherClocksWhenWritten } from "../host/clocks.ts";
import { NO_LIMIT } from "../linux/resource.ts";
import { readLimits } from "../proc/limits.ts";
import { complete } from "../understand/complete/complete.ts";
import { type DeadClockOptions, withDeadClocks } from "../understand/dead-clocks.ts";
import { deduce } from "../understand/deduce/deduce.ts";
import { leaveHandlers } from "../understand/evidence/leave-handlers.ts";
import { type OpenObject, programBreak } from "../understand/evidence/program-objects.ts";
import { endAtFiles } from "../understand/file-ends.ts";
import { relocate, relocateDonor } from "../understand/relocate.ts";
import type { FoundFiles } from "./mapped-files.ts";
import type { OpenedCore } from "./open-core.ts";
import type { RaiseOptions, RaisePlan } from "./raise-options.ts";
import type { Whose } from "./whose.ts";

/** What was opened before, and what is known of it. */
export interface Opened {
	readonly mapped: FoundFiles;
	/** The contents of the files that were found, by their paths here. */
	readonly open: OpenObject;
	/** st_mode of the other files that were asked for; `undefined` where there is nothing. */
	modeOf(path: string): number | undefined;
}

/** The process of a core: what that does not tell comes from the donor, or is deduced. Pure, but for this host's clocks and limits. */
export function understand(
	whole: PartialTask,
	{ credentials, findings: rights }: Whose,
	{ mapped, open, modeOf }: Opened,
	core: OpenedCore,
	options: RaiseOptions,
): RaisePlan {
	const findings: Finding[] = [...mapped.findings, ...(options.donorFindings ?? []), ...rights];
	const report = (finding: Finding): void => void findings.push(finding);
	const here = endAtFiles(relocate(whole, mapped), mapped.sizes);
	const dead = options.leaveHandlers === true ? leaveHandlers(here, open, report) : here;
	if (options.lazy === true) findings.push(memoryIn(core), ...unaligned(dead, core));
	const donor = options.donor === undefined ? undefined : relocateDonor(believed(options.donor, options), mapped);
	const { task: known, findings: told } = withoutClocks(dead, donor, credentials, { open, modeOf }, options);
	findings.push(...told);
	const { task: clocked, finding } = withDeadClocks(known, dead, { open, ...clockOptions(core, options) });
	report(finding);
	const limits = readLimits("self");
	const task = withSoftLimits(
		clocked,
		options.softLimits ?? new Map(),
		(number) => limits[number]?.hard ?? NO_LIMIT,
		report,
	);
	return { dead, task, findings };
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
	donor: Task | undefined,
	credentials: Credentials,
	{ open, modeOf }: Pick<Opened, "open" | "modeOf">,
	options: RaiseOptions,
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
