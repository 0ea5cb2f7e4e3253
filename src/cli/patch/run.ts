import { defined } from "../../bytes/defined.ts";
import { requireUnchanged } from "../../bytes/unchanged.ts";
import { readCore } from "../../core/core.ts";
import { type ImageDir, openImageDir } from "../../criu/image-dir.ts";
import type { WriteOptions } from "../../criu/pages/pages.ts";
import {
	commitInPlace,
	type Hold,
	refuseUnfinished,
	whilePatching,
	writeNewDirectory,
} from "../../criu/store/commit.ts";
import { draftWork } from "../../criu/store/new-images.ts";
import type { PartialTask } from "../../forest/partial-task.ts";
import { clocksWhenWritten, otherClocksWhenWritten } from "../../host/clocks.ts";
import { holesOf } from "../../host/holes.ts";
import { clocksFromImages } from "../../images/read/clocks.ts";
import { writersTold } from "../../images/read/side-record.ts";
import { hostFiles } from "../../patch/host-files.ts";
import { type PatchedTree, patchTree } from "../../patch/patch.ts";
import type { DeadProcess } from "../../patch/understood.ts";
import type { OpenedCore } from "../../raise/open-core.ts";
import { groupsOfUser, isAlone, ourRights } from "../../rights/our-rights.ts";
import { patchRights } from "../../rights/patch-rights.ts";
import type { GivenClock } from "../../understand/dead-clocks.ts";
import { taskFromCore } from "../../understand/from-core/from-core.ts";
import type { DonorChoice } from "../command-line.ts";
import { findingsText } from "../findings.ts";
import { untilInterrupted } from "../interrupt.ts";
import { openCoreUntil } from "../open-core.ts";
import { openProgress } from "../progress.ts";
import { openTerminal, type Terminal } from "../terminal.ts";
import { patchedJson, recoveryText, summaryText } from "./text.ts";

export interface PatchVerb {
	/** One for each process that died. */
	readonly cores: readonly string[];
	/** The donor's image directory. */
	readonly images: string;
	/** Where to write instead of in place. */
	readonly output?: string;
	/** Write nothing. */
	readonly check?: boolean;
	readonly donorPid?: readonly DonorChoice[];
	readonly allowMismatch?: boolean;
	readonly limit?: ReadonlyMap<number, bigint>;
	readonly clock?: GivenClock;
	/** Bytes, the most that a compressed core may unpack to. */
	readonly maxSize?: bigint;
	/** Believe core and donor, whoever wrote them. */
	readonly trust?: boolean;
	readonly sync?: boolean;
	readonly json?: boolean;
	readonly quiet?: boolean;
	readonly verbose?: boolean;
}

/** `necromancer -c CORE -i IMGDIR`: rewrites a donor's images so that they describe the dead process. */
export async function patchVerb(verb: PatchVerb): Promise<void> {
	const terminal = openTerminal(process);
	if (verb.check === true) refuseUnfinished(verb.images);
	// including the opening: the lock has to be released
	await untilInterrupted(async (signal) => {
		if (verb.check === true || verb.output !== undefined) return await patchOnce(verb, terminal, signal);
		await whilePatching(verb.images, async (lock, recovery) => {
			if (verb.quiet !== true) terminal.err(recoveryText(verb.images, recovery));
			await patchOnce(verb, terminal, signal, lock);
		});
	});
}

async function patchOnce(verb: PatchVerb, terminal: Terminal, signal: AbortSignal, lock?: Hold): Promise<void> {
	const donor = openImageDir(lock?.directory ?? verb.images);
	const cores: OpenedCore[] = [];
	const host = hostFiles();
	try {
		for (const path of verb.cores) cores.push(await openCoreUntil(signal, path, terminal, verb.maxSize));
		const deads: DeadProcess[] = [];
		for (const [i, core] of cores.entries()) deads.push(await deadProcess(core, verb.cores[i], donor, verb));
		const patched = patchTree(deads, donor, {
			host,
			...defined({ softLimits: verb.limit, allowMismatch: verb.allowMismatch }),
		});
		const target = verb.check === true ? undefined : (verb.output ?? verb.images);
		if (target !== undefined) {
			const silent = verb.quiet === true || verb.json === true;
			const progress = openProgress(terminal, silent ? 0n : draftWork(patched.draft));
			const write = () => {
				const requireSources = (): void => {
					requireUnchanged(cores.flatMap(({ temporary, source }) => (temporary ? [] : [source])));
					donor.requireUnchanged();
					host.requireUnchanged();
				};
				const options: WriteOptions = {
					...{ sync: verb.sync ?? false, progress: progress.advance, signal },
					requireUnchanged: requireSources,
				};
				return verb.output === undefined
					? commitInPlace(patched.draft, donor, { ...options, ...defined({ lock }) })
					: writeNewDirectory(patched.draft, donor, verb.output, options);
			};
			signal.throwIfAborted();
			await write().finally(progress.end);
		}
		tell(
			verb,
			terminal,
			deads.map(({ dead }) => dead),
			patched,
			target,
		);
	} finally {
		host.close();
		donor.close();
		for (const core of cores) core.close();
	}
}

/** A core, with whose word it is and what is known of its time. @param path as it was given. */
async function deadProcess(
	core: OpenedCore,
	path: string | undefined,
	donor: ImageDir,
	{ trust, clock, donorPid = [] }: PatchVerb,
): Promise<DeadProcess> {
	const { written } = core;
	const choice = donorPid.find((one) => one.core === undefined || one.core === path);
	return {
		dead: taskFromCore(readCore(core.source), await holesOf(core.source)),
		writers: (task, lends) =>
			patchRights(task, {
				...{ name: core.name, us: ourRights(), trust: trust === true, alone: isAlone, groupsOf: groupsOfUser },
				writers: [core.writers, ...donor.allWriters(), ...writersTold(donor)],
				...{ donor: lends.threads.map(({ credentials }) => credentials), lends },
			}),
		clock: {
			...defined({ host: written === undefined ? undefined : clocksWhenWritten(written) }),
			others: written === undefined ? [] : otherClocksWhenWritten(written, clocksFromImages(donor).clocks?.origin),
			...defined({ given: clock }),
		},
		// not known of our own unpacked copy
		...(core.temporary ? {} : defined({ writtenAt: written })),
		...defined({ donorPid: choice?.pid }),
	};
}

function tell(
	verb: PatchVerb,
	terminal: Terminal,
	deads: readonly PartialTask[],
	patched: PatchedTree,
	target: string | undefined,
): void {
	if (verb.json === true) terminal.out(patchedJson(deads, patched, target));
	else if (verb.quiet !== true)
		terminal.out(
			findingsText(patched.findings, verb.verbose === true, terminal.paint) +
				summaryText(deads, patched, target, terminal),
		);
}
