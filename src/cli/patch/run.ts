import { defined } from "../../bytes/defined.ts";
import { requireUnchanged } from "../../bytes/unchanged.ts";
import { readCore } from "../../core/core.ts";
import { openImageDir } from "../../criu/image-dir.ts";
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
import { type Patched, patch } from "../../patch/patch.ts";
import { groupsOfUser, isAlone, ourRights } from "../../rights/our-rights.ts";
import { patchRights } from "../../rights/patch-rights.ts";
import type { GivenClock } from "../../understand/dead-clocks.ts";
import { taskFromCore } from "../../understand/from-core/from-core.ts";
import { findingsText } from "../findings.ts";
import { untilInterrupted } from "../interrupt.ts";
import { openCoreUntil } from "../open-core.ts";
import { openProgress } from "../progress.ts";
import { openTerminal, type Terminal } from "../terminal.ts";
import { patchedJson, recoveryText, summaryText } from "./text.ts";

export interface PatchVerb {
	readonly core: string;
	/** The donor's image directory. */
	readonly images: string;
	/** Where to write instead of in place. */
	readonly output?: string;
	/** Write nothing. */
	readonly check?: boolean;
	readonly donorPid?: number;
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
	const core = await openCoreUntil(signal, verb.core, terminal, verb.maxSize).catch((error: unknown) => {
		donor.close();
		throw error;
	});
	const host = hostFiles();
	try {
		const dead = taskFromCore(readCore(core.source), await holesOf(core.source));
		const clocks = core.written === undefined ? undefined : clocksWhenWritten(core.written);
		const patched = patch(dead, donor, {
			host,
			writers: (task, lends) =>
				patchRights(task, {
					...{ name: core.name, us: ourRights(), trust: verb.trust === true, alone: isAlone, groupsOf: groupsOfUser },
					writers: [core.writers, ...donor.allWriters(), ...writersTold(donor)],
					...{ donor: lends.threads.map(({ credentials }) => credentials), lends },
				}),
			clock: {
				...defined({ host: clocks }),
				others:
					core.written === undefined
						? []
						: otherClocksWhenWritten(core.written, clocksFromImages(donor).clocks?.origin),
				...defined({ given: verb.clock }),
			},
			// not known of our own unpacked copy
			...(core.temporary ? {} : defined({ writtenAt: core.written })),
			...defined({ softLimits: verb.limit, donorPid: verb.donorPid, allowMismatch: verb.allowMismatch }),
		});
		const target = verb.check === true ? undefined : (verb.output ?? verb.images);
		if (target !== undefined) {
			const silent = verb.quiet === true || verb.json === true;
			const progress = openProgress(terminal, silent ? 0n : draftWork(patched.draft));
			const write = () => {
				const requireSources = (): void => {
					if (!core.temporary) requireUnchanged([core.source]);
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
		tell(verb, terminal, dead, patched, target);
	} finally {
		host.close();
		donor.close();
		core.close();
	}
}

function tell(
	verb: PatchVerb,
	terminal: Terminal,
	dead: PartialTask,
	patched: Patched,
	target: string | undefined,
): void {
	if (verb.json === true) terminal.out(patchedJson(dead, patched, target));
	else if (verb.quiet !== true)
		terminal.out(
			findingsText(patched.findings, verb.verbose === true, terminal.paint) +
				summaryText(dead, patched, target, terminal),
		);
}
