import { isPageAligned } from "../bytes/address.ts";
import { defined } from "../bytes/defined.ts";
import { caution, type Finding, note } from "../finding.ts";
import type { PartialTask } from "../forest/partial-task.ts";
import { withSoftLimits } from "../forest/soft-limits.ts";
import type { Task } from "../forest/task.ts";
import { clocksWhenWritten, otherClocksWhenWritten } from "../host/clocks.ts";
import { NO_LIMIT } from "../linux/resource.ts";
import { readLimits } from "../proc/limits.ts";
import { evidenceIn } from "../understand/evidence/evidence.ts";
import { leaveHandlers } from "../understand/evidence/leave-handlers.ts";
import type { OpenObject } from "../understand/evidence/program-objects.ts";
import { endAtFiles } from "../understand/file-ends.ts";
import { relocate, relocateDonor } from "../understand/relocate.ts";
import { type UnderstandOptions, understand } from "../understand/understand.ts";
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
	ownerOf(path: string): number | undefined;
}

/** The process of a core: what that does not tell comes from the donor, or is deduced. Pure, but for this host's clocks and limits. */
export function understood(
	whole: PartialTask,
	{ credentials, findings: rights }: Whose,
	{ mapped, open, modeOf, ownerOf }: Opened,
	core: OpenedCore,
	options: RaiseOptions,
): RaisePlan {
	const findings: Finding[] = [...mapped.findings, ...(options.donorFindings ?? []), ...rights];
	const report = (finding: Finding): void => void findings.push(finding);
	const here = endAtFiles(relocate(whole, mapped), mapped.sizes);
	const dead = options.leaveHandlers === true ? leaveHandlers(here, open, report) : here;
	if (options.lazy === true) findings.push(memoryIn(core), ...unaligned(dead, core));
	const donor = options.donor === undefined ? undefined : relocateDonor(believed(options.donor, options), mapped);
	const credentialsOf = donor === undefined || options.trust !== true ? { credentials } : {};
	const { task: known, findings: told } = understand(dead, evidenceIn(dead, open), donor, {
		...{ ...options, ...credentialsOf, modeOf, ownerOf },
		clocks: clockEvidence(core, options),
	});
	findings.push(...told);
	const limits = readLimits("self");
	const task = withSoftLimits(
		known,
		options.softLimits ?? new Map(),
		(number) => limits[number]?.hard ?? NO_LIMIT,
		report,
	);
	return { dead, task, findings };
}

function clockEvidence(
	{ written }: OpenedCore,
	{ clock, donor }: RaiseOptions,
): NonNullable<UnderstandOptions["clocks"]> {
	const host = written === undefined ? undefined : clocksWhenWritten(written);
	return {
		others: written === undefined ? [] : otherClocksWhenWritten(written, donor?.clocks?.origin),
		...defined({ host, given: clock }),
	};
}

/** A donor's file identities prove nothing for another process: they are dropped unless trusted. */
function believed(donor: Task, { trust }: Pick<RaiseOptions, "trust">): Task {
	const { identities: _said, ...files } = donor.files;
	return trust === true ? donor : { ...donor, files };
}

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
