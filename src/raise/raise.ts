import type { Agent } from "../agent/agent.ts";
import { startAgent } from "../agent/start-agent.ts";
import { defined } from "../bytes/defined.ts";
import type { ByteSource } from "../bytes/source.ts";
import { requireUnchanged } from "../bytes/unchanged.ts";
import { readCore } from "../core/core.ts";
import { forestOf } from "../forest/forest.ts";
import type { PartialTask } from "../forest/partial-task.ts";
import { measureUser } from "../host/facts.ts";
import { measurePids } from "../host/pids.ts";
import { type OpenFiles, openFiles } from "../inputs/open-files.ts";
import { sourcesOf } from "../plan/inputs.ts";
import { openerOf } from "../plan/opener.ts";
import type { Plan } from "../plan/plan.ts";
import { FIRST_INPUT_FD } from "../program/abi.ts";
import type { IdChoice } from "../restore/ids.ts";
import { chooseIds } from "../restore/ids.ts";
import {
	descriptorOf,
	type Ready,
	type Restored,
	type RestoreOptions,
	rehearseWith,
	restoreWith,
} from "../restore/restore.ts";
import { ourRights } from "../rights/our-rights.ts";
import { openUsesOf } from "../rights/within-rights.ts";
import { namedAfter } from "../understand/donor/named-after-process.ts";
import { taskFromCore } from "../understand/from-core/from-core.ts";
import { startDirectory } from "../understand/working-directory.ts";
import type { SearchPlaces } from "./file-search.ts";
import { objectsIn } from "./found-objects.ts";
import { holeOf } from "./hole.ts";
import { openMappedFiles } from "./mapped-files.ts";
import type { OpenedCore } from "./open-core.ts";
import type { RaiseOptions, RaisePlan } from "./raise-options.ts";
import { openTrees } from "./trees.ts";
import { understood } from "./understood.ts";
import { whoseIs } from "./whose.ts";
import { withinUsersRights } from "./within-users-rights.ts";
import { zeroRangesOf } from "./zero-runs.ts";

export interface Raised extends RaisePlan {
	readonly restored: Restored;
}

/**
 * Brings the process of a core back to life. No image is written: pages go from the core to their place. What a core cannot
 * know comes from the donor, or is deduced.
 *
 * @throws NecromancerError for a core that is damaged, mapped files that are others or missing, and what `restore` throws.
 */
export const raise = (core: OpenedCore, options: RaiseOptions): Promise<Raised> =>
	whenPrepared(core, options, async ({ ready, planned, how }) => {
		const restored = await restoreWith(ready, forestOf([planned.task]), how);
		return { ...planned, findings: [...planned.findings, ...restored.findings], restored };
	});

/** A raise that was rehearsed: what would be made, and by which system calls. */
export interface RehearsedRaise extends RaisePlan {
	readonly plan: Plan;
}

/**
 * The plan of a raise. Opens what `raise` opens, makes nothing, and refuses what `raise` refuses before it makes anything.
 *
 * @throws NecromancerError as `raise` does.
 */
export const rehearseRaise = (core: OpenedCore, options: RaiseOptions): Promise<RehearsedRaise> =>
	whenPrepared(core, options, async ({ ready, planned, how }) => {
		const plan = await rehearseWith(ready, forestOf([planned.task]), how);
		return { ...planned, findings: [...planned.findings, ...plan.findings], plan };
	});

async function whenPrepared<T>(
	core: OpenedCore,
	options: RaiseOptions,
	go: (prepared: Prepared) => Promise<T>,
): Promise<T> {
	const all = await prepared(core, options);
	try {
		return await go(all);
	} finally {
		all.files.closeContents();
	}
}

interface Prepared {
	readonly ready: Ready;
	readonly files: OpenFiles;
	readonly planned: RaisePlan;
	readonly how: RestoreOptions;
}

/**
 * Whose it is, and which files are wanted, follows from core and donor. An agent then opens these, as the process's user; what
 * they are is judged by what was opened, and only then is it understood what the process was.
 */
async function prepared(core: OpenedCore, options: RaiseOptions): Promise<Prepared> {
	const { donor } = options;
	// zeros need not be read or mapped; with --lazy nothing is read now
	const holes = options.lazy === true ? [] : await zeroRangesOf(core.source);
	const whole = taskFromCore(readCore(core.source, { truncated: options.truncated === true }), holes);
	const us = ourRights();
	const whose = whoseIs(whole, core, us, options);
	const given = [...new Set([core.source, ...(donor === undefined ? [] : sourcesOf(donor))])];
	const { agent, places } = await agentFor(whole, given, options);
	const files = openFiles(agent, openerOf(whose, measureUser(agent)), options.trust === true);
	try {
		const trust = options.trust === true;
		const mapped = await openMappedFiles(whole, files, options, { ...places, ...writtenAt(core), trust });
		await openOthers(whole, files, options);
		const told = understood(
			whole,
			whose,
			{
				...{ mapped, open: objectsIn(files, mapped) },
				modeOf: (path) => files.at(path)?.mode,
				ownerOf: (path) => files.at(path)?.uid,
			},
			core,
			options,
		);
		const planned = await withinUsersRights(told, whose, us, files, options);
		const tids = planned.task.threads.map(({ tid }) => tid);
		const ids = options.ids ?? chooseIds(planned.task, await measurePids(tids, agent));
		options.before?.(planned);
		return { ready: { agent, given, files }, files, planned, how: howFor(core, options, ids) };
	} catch (error) {
		files.closeContents();
		await agent.close();
		throw error;
	}
}

/** An agent that has what the caller names: what the process's bytes come from, and the directories to look in. */
async function agentFor(
	whole: PartialTask,
	given: readonly ByteSource[],
	options: RaiseOptions,
): Promise<{ readonly agent: Agent; readonly places: SearchPlaces }> {
	const trees = openTrees(options);
	try {
		const inputs = [...given.map(descriptorOf), ...trees.descriptors];
		const agent = await startAgent(holeOf(whole, options.donor, options.fds.size), { inputs });
		return { agent, places: trees.places(FIRST_INPUT_FD + given.length) };
	} finally {
		trees.close();
	}
}

/**
 * What a process may get besides: what the caller names, what a donor had open, the directory that it was started in, and the
 * usual stand-in. What is not here, or closed, is told of when it turns out to be needed.
 */
async function openOthers(dead: PartialTask, files: OpenFiles, { fds, tty, donor }: RaiseOptions): Promise<void> {
	const named = new Set([...fds.values(), ...(tty === undefined ? [] : [tty])]);
	await files.asCaller([...named].map((path) => ({ path, access: 0 })));
	const uses = donor === undefined ? [] : openUsesOf(donor, { fds, ...defined({ tty }) });
	const started = donor === undefined ? startDirectory(dead) : undefined;
	const paths = new Set(["/dev/null", ...(started === undefined ? [] : [started])]);
	const links = new Set(uses.flatMap(({ path, link }) => (link ? [path] : [])));
	for (const { path, link } of uses) {
		if (link) continue;
		paths.add(path);
		// what is named after the donor's process may be there under the dead one's
		if (donor !== undefined) paths.add(namedAfter(path, donor.identity.pid, dead.pid));
	}
	await files.asUser([...paths].map((path) => ({ path, access: 0 })));
	await files.asUser([...links].map((path) => ({ path, access: 0, link: true })));
}

function howFor(core: OpenedCore, options: RaiseOptions, ids: IdChoice): RestoreOptions {
	// our own id means nothing in another pid namespace
	const tracer = ids === "namespace" ? "anybody" : process.pid;
	return {
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
}

/** When the core was written; unknown for our own unpacked copy. */
const writtenAt = ({ written, temporary }: OpenedCore): Pick<SearchPlaces, "writtenAt"> =>
	temporary || written === undefined ? {} : { writtenAt: written };
