import { resolve } from "node:path";
import { defined } from "../bytes/defined.ts";
import { readCore } from "../core/core.ts";
import { type ImageDir, openImageDir } from "../criu/image-dir.ts";
import { refuseUnfinished } from "../criu/store/unfinished.ts";
import type { Task } from "../forest/task.ts";
import { forestFromImages, taskFromImages } from "../images/read/from-images.ts";
import { writersTold } from "../images/read/side-record.ts";
import { treeOf } from "../images/read/tree.ts";
import { donorProcesses } from "../patch/donor-processes.ts";
import { type OpenedCore, openCoreSource } from "../raise/open-core.ts";
import type { RaiseOptions } from "../raise/raise-options.ts";
import { withoutRelatives } from "../raise/relatives.ts";
import { donorWithoutUnrestorable } from "../restore/image-losses.ts";
import { taskFromCore } from "../understand/from-core/from-core.ts";
import { ourTerminal } from "./our-terminal.ts";
import { openProgress } from "./progress.ts";
import type { RaiseChoices } from "./raise-choices.ts";
import type { Terminal } from "./terminal.ts";

/** Opens a core, and its donor, for as long as they are used. @param quiet shows no progress while the core is unpacked. */
export async function withCore<T>(
	choices: RaiseChoices,
	terminal: Terminal,
	{ signal, quiet = false }: { readonly signal?: AbortSignal; readonly quiet?: boolean },
	use: (core: OpenedCore, options: RaiseOptions) => Promise<T>,
): Promise<T> {
	const core = await openCoreSource(choices.core, {
		...defined({ maxSize: choices.maxSize, signal }),
		progress: (total) => openProgress(terminal, quiet ? 0n : total),
	});
	let donor: ImageDir | undefined;
	try {
		donor = openDonor(choices.images);
		return await use(core, optionsFrom(choices, core, donor));
	} finally {
		donor?.close();
		core.close();
	}
}

function openDonor(images: string | undefined): ImageDir | undefined {
	if (images === undefined) return undefined;
	refuseUnfinished(images);
	return openImageDir(resolve(images));
}

function optionsFrom(choices: RaiseChoices, core: OpenedCore, donor: ImageDir | undefined): RaiseOptions {
	const { sysroot, mapFile, search, clock } = choices;
	return {
		stopped: choices.run !== true && choices.wait !== true,
		untraced: choices.ptrace === false,
		fds: choices.fd ?? new Map(),
		missing: choices.missingFds ?? "error",
		missingFiles: choices.missingFiles ?? "error",
		truncated: choices.truncated === true,
		leaveHandlers: choices.leaveHandlers === true,
		lazy: choices.lazy === true,
		trust: choices.trust === true,
		allowMismatch: choices.allowMismatch === true,
		...(choices.pidNamespace === true ? { ids: "namespace" as const } : {}),
		...(choices.freshIds === true ? { ids: "fresh" as const } : {}),
		...(choices.tty === true ? { tty: ourTerminal("--tty") } : {}),
		...(donor === undefined ? {} : lentBy(donor, core, choices)),
		...defined({ softLimits: choices.limit, clock, sysroot, mapFiles: mapFile, search }),
	};
}

function lentBy(
	dir: ImageDir,
	core: OpenedCore,
	choices: RaiseChoices,
): Pick<RaiseOptions, "donor" | "donorImages" | "donorFindings" | "requireUnchanged"> {
	const several = treeOf(dir).length > 1;
	const { task: donor, findings } = donorWithoutUnrestorable(
		dir,
		several ? ofTree(dir, core, choices) : taskFromImages(dir, choices.donorPid),
	);
	const writers = [...dir.writers, ...writersTold(dir)];
	return {
		donor,
		donorImages: { name: dir.path, writers },
		donorFindings: several ? [...findings, ...withoutRelatives(forestFromImages(dir), donor.identity.pid)] : findings,
		requireUnchanged: dir.requireUnchanged,
	};
}

/** The process of a donor's tree that a core belongs to. */
function ofTree(dir: ImageDir, core: OpenedCore, { donorPid, truncated }: RaiseChoices): Task {
	if (donorPid !== undefined) return taskFromImages(dir, donorPid);
	const dead = taskFromCore(readCore(core.source, { truncated: truncated === true }));
	const [chosen] = donorProcesses(dir, [{ task: dead }]);
	if (chosen === undefined) throw new RangeError("a core without a process");
	return chosen;
}
