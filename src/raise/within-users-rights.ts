import { defined } from "../bytes/defined.ts";
import { isKernelPath } from "../core/files.ts";
import type { OpenFiles, OwnNode } from "../inputs/open-files.ts";
import { CLOSED, isOpened, type NoNode } from "../inputs/open-nodes.ts";
import { readLimits } from "../proc/limits.ts";
import type { OurRights } from "../rights/privilege.ts";
import { type FileAccess, usesOf, withinRights } from "../rights/within-rights.ts";
import type { RaiseOptions, RaisePlan } from "./raise-options.ts";
import type { Whose } from "./whose.ts";

/**
 * A planned raise without what its user could not do himself. What he may do with a file, the kernel says, of what the agent has
 * opened as he.
 *
 * @throws NecromancerError ERR_FILE_MISMATCH for all files at once that have no substitute.
 */
export async function withinUsersRights(
	planned: RaisePlan,
	{ credentials }: Whose,
	us: OurRights,
	files: OpenFiles,
	{ trust, fds, missing, tty }: RaiseOptions,
): Promise<RaisePlan> {
	// with our own uid it has our rights: no file needs to be checked
	if (trust === true || credentials.uid === us.uid) return planned;
	const named = { fds, ...defined({ tty }) };
	const closed = await closedAmong(usesOf(planned.task, named), files);
	const { task, findings } = withinRights(planned.task, {
		...named,
		...{ reader: credentials, missing, limits: readLimits("self") },
		mayUse: (use) => !closed.has(keyOf(use)),
	});
	return { ...planned, task, findings: [...planned.findings, ...findings] };
}

const keyOf = ({ path, access, link }: FileAccess): string => `${access} ${link} ${path}`;

async function closedAmong(uses: readonly FileAccess[], files: OpenFiles): Promise<ReadonlySet<string>> {
	const closed = new Set<string>();
	const byKind = new Map<string, Map<string, FileAccess>>();
	for (const use of uses) {
		const kind = `${use.access} ${use.link}`;
		byKind.set(kind, (byKind.get(kind) ?? new Map()).set(use.path, use));
	}
	for (const group of byKind.values()) {
		const nodes = await files.asUser([...group.values()]);
		for (const [path, use] of group) if (isClosed(nodes.get(path))) closed.add(keyOf(use));
	}
	return closed;
}

/**
 * What is not there is closed to nobody. procfs and sysfs ask for more than permission bits when a file is opened, and show
 * what they show to whoever opened it: they are for no user's core.
 */
const isClosed = (node: OwnNode | NoNode | undefined): boolean =>
	node === undefined || isOpened(node)
		? node !== undefined && isKernelPath(node.at) && !node.at.startsWith("/dev/")
		: CLOSED.includes(node.errno);
