import { statSync } from "node:fs";
import { dirname } from "node:path";
import type { Agent } from "../agent/agent.ts";
import { defined } from "../bytes/defined.ts";
import type { OpenDescriptor } from "../descriptors/ask.ts";
import type { DescriptionCommon } from "../descriptors/description.ts";
import type { Description } from "../descriptors/kinds.ts";
import { caution, type Finding, loss } from "../finding.ts";
import type { Descriptor, Files } from "../forest/files.ts";
import type { FileLock } from "../forest/locks.ts";
import { O, O_ACCMODE } from "../linux/open.ts";
import { withoutDeleted } from "../proc/deleted.ts";
import { readLink, statLink } from "../proc/links.ts";
import { type Class, classesOf, compareByKernel } from "../trace/kcmp.ts";
import { type AskedTogether, askOf, pipeTable, type TableEntry } from "./ask.ts";
import type { MissingDescriptors } from "./descriptor-policy.ts";
import { type OpeningProcess, type OpenTable, openTable } from "./descriptor-tables.ts";
import { isDeletedDirectory, type LiveGhosts } from "./ghosts.ts";
import { locksOf } from "./locks.ts";
import { lookAt } from "./looks.ts";
import type { Losable } from "./losable.ts";
import { openDescriptors } from "./open-files.ts";
import { socketLists } from "./socket-sights.ts";
import type { LiveTerminals } from "./terminals.ts";
import { unixSights } from "./unix-sockets.ts";

/** What to do about fds that cannot be dumped, and where to look for files without a name. */
export interface FilesPolicy {
	readonly missing: MissingDescriptors;
	/** Whether their locks on files are kept. */
	readonly locks: boolean;
	/** The ids of all that are dumped, zombies among them. */
	readonly along: ReadonlySet<number>;
	readonly ghosts: LiveGhosts;
	readonly terminals: LiveTerminals;
	readonly allowLost: ReadonlySet<Losable>;
}

/**
 * What stopped processes have open, as it is: bytes that wait in pipes are copied and stay there. An open file is described once,
 * whoever has it.
 *
 * @param tables Processes that have one descriptor table (CLONE_FILES) each in a list, the lists in the order of the first of each.
 * @returns by process id.
 * @throws NecromancerError ERR_IO, ERR_HOST.
 */
export async function filesOf(
	agent: Agent,
	tables: readonly Class<OpeningProcess>[],
	{ missing, locks, along, ghosts, terminals, allowLost }: FilesPolicy,
): Promise<ReadonlyMap<number, Files>> {
	const open: OpenTable[] = [];
	try {
		const before = tables.map(([process]) => ({ process, pid: process.pid, open: openDescriptors(process.pid) }));
		for (const { pid, open } of before) terminals.meet(pid, open);
		const unix = await unixSights(
			agent,
			before.map(({ pid }) => pid),
			before,
		);
		const together = new Set(tables.flatMap((processes) => processes.map(({ pid }) => pid)));
		const around = { terminals, others: { unix, together }, listed: socketLists() };
		for (const one of before) open.push(await openTable(agent, one.process, one.open, around));
		const groups = await groupsOf(agent, open);
		const pipes = pipeTable(groups.map(([first]) => first));
		const described = await describe(groups, { agent, ghosts, pipes, terminals, along, missing }, { missing, locks });
		const files = new Map<number, Files>();
		for (const [i, processes] of tables.entries()) {
			const { descriptors: found = [], locks = [] } = described.get(open[i]) ?? {};
			const descriptors = found.sort((a, b) => a.number - b.number);
			for (const process of processes)
				files.set(process.pid, {
					descriptors,
					...(locks.length === 0 ? {} : { locks }),
					...(processes.length > 1 ? { table: FIRST_TABLE + i } : {}),
					...directoriesOf(process, ghosts, allowLost),
					...defined({ umask: process.status.umask }),
				});
		}
		return files;
	} finally {
		for (const { copies } of open) await copies.close();
	}
}

/** Images keep 1 for whoever restores them. */
const FIRST_TABLE = 2;

/** Descriptors that are one open file: dup(2) made them, or inheritance. In the order of tables and numbers, as in each. */
async function groupsOf(agent: Agent, tables: readonly OpenTable[]): Promise<readonly Class<TableEntry>[]> {
	const alike = new Map<string, TableEntry[]>();
	const place = new Map<OpenDescriptor, number>();
	// one open file has one offset and one set of flags: only what looks the same needs to be compared
	for (const table of tables)
		for (const open of table.open) {
			const { link, info } = open;
			const look = `${link} ${info.position} ${info.flags & ~O.CLOEXEC}`;
			const entries = alike.get(look) ?? [];
			entries.push({ table, open });
			alike.set(look, entries);
			place.set(open, place.size);
		}
	const groups = await classesOf([...alike.values()], (pairs) =>
		compareByKernel(
			agent,
			"FILE",
			pairs.map(([a, b]) => [comparedIn(a), comparedIn(b)] as const),
		),
	);
	const placeOf = ([{ open }]: Class<TableEntry>): number => place.get(open) ?? 0;
	return [...groups].sort((a, b) => placeOf(a) - placeOf(b));
}

const comparedIn = ({ table, open: { number } }: TableEntry) => ({ pid: table.process.pid, number });

/** Each open file once, and the descriptors of it in all tables. */
async function describe(
	groups: readonly Class<TableEntry>[],
	together: AskedTogether,
	{ missing, locks }: Pick<FilesPolicy, "missing" | "locks">,
): Promise<ReadonlyMap<OpenTable | undefined, Described>> {
	const described = new Map<OpenTable | undefined, Described>();
	const firsts = new Map<OpenTable, OpenDescriptor[]>();
	for (const [{ table, open }] of groups) {
		const own = firsts.get(table) ?? [];
		own.push(open);
		firsts.set(table, own);
	}
	const asks = new Map([...firsts.keys()].map((table) => [table, askOf(table, together)]));
	const owners = new Map<OpenDescriptor, Owner>();
	for (const [{ copies }, opens] of firsts) {
		const found = await copies.owners(opens.map(({ number }) => number));
		for (const [i, owner] of found.entries()) {
			const open = opens[i];
			if (open !== undefined && (owner.pid !== 0 || owner.signal !== 0)) owners.set(open, owner);
		}
	}
	for (const [i, group] of groups.entries()) {
		const [{ table, open }] = group;
		const common: DescriptionCommon = {
			...{ id: i + 1, flags: open.info.flags & ~O.CLOEXEC },
			...defined({ owner: owners.get(open) }),
		};
		const sighting = table.seen.get(open.number);
		const ask = asks.get(table);
		const known =
			sighting?.undumpable === undefined && ask !== undefined ? await sighting?.describe(common, ask) : undefined;
		const description = known ?? substitute(group, i + 1, sighting?.undumpable ?? open.link, missing);
		const told = new Set<OpenTable>();
		for (const { table, open } of group) {
			const { number, info } = open;
			const { report } = table.process;
			const here = described.get(table) ?? { descriptors: [], locks: [] };
			described.set(table, here);
			if (description !== undefined)
				here.descriptors.push({ number, closeOnExec: (info.flags & O.CLOEXEC) !== 0, description });
			// all descriptors of one open file in a table show its locks
			if (!told.has(table)) here.locks.push(...locksOf(open, known !== undefined && locks, report));
			told.add(table);
		}
	}
	return described;
}

/** What is open in one table, and locked by way of it. */
interface Described {
	readonly descriptors: Descriptor[];
	readonly locks: FileLock[];
}

type Owner = NonNullable<DescriptionCommon["owner"]>;

/** What takes the place of an fd that cannot be dumped: another file, or nothing. Each process is told of its first. */
function substitute(
	group: Class<TableEntry>,
	id: number,
	words: string,
	missing: MissingDescriptors,
): Description | undefined {
	const told = new Map([...group].reverse().map((entry) => [entry.table, entry]));
	const tell = (finding: (subject: string) => Finding): void => {
		for (const { table, open } of told.values()) table.process.report(finding(`descriptor ${open.number}`));
	};
	if (missing !== "null") {
		tell((subject) => loss("descriptor-dropped", subject, `was ${words}; it is closed`));
		return undefined;
	}
	tell((subject) => loss("replaced", subject, `was ${words}; /dev/null takes its place`));
	const [{ open }] = group;
	const flags = open.info.flags & (O_ACCMODE | O.APPEND | O.NONBLOCK | O.LARGEFILE);
	const path = "/dev/null";
	return { kind: "file", id, flags, path, mode: statSync(path).mode, position: 0n, unlinked: false };
}

/** One that was deleted is a ghost; where it is given up, it is the nearest around it that is there. */
function directoriesOf(
	process: OpeningProcess,
	ghosts: LiveGhosts,
	allowLost: ReadonlySet<Losable>,
): Pick<Files, "cwd" | "root" | "cwdGhost" | "rootGhost"> {
	const { pid } = process;
	const ghostOf = (which: "cwd" | "root"): number | undefined =>
		allowLost.has(which) || !isDeletedDirectory(statLink(pid, which))
			? undefined
			: ghosts.of(pid, which, formerPath(pid, which), true);
	const [cwdGhost, rootGhost] = [ghostOf("cwd"), ghostOf("root")];
	return {
		cwd: cwdGhost === undefined ? nearestTo(process, "cwd") : formerPath(pid, "cwd"),
		root: rootGhost === undefined ? nearestTo(process, "root") : formerPath(pid, "root"),
		...defined({ cwdGhost, rootGhost }),
	};
}

const formerPath = (pid: number, which: "cwd" | "root"): string => withoutDeleted(readLink(pid, which)).path;

/** Where a directory was deleted, the nearest around it that is there. */
function nearestTo({ pid, report }: OpeningProcess, which: "cwd" | "root"): string {
	const link = readLink(pid, which);
	if (isDirectory(link)) return link;
	let path = withoutDeleted(link).path;
	while (!isDirectory(path) && path !== "/") path = dirname(path);
	report(caution("replaced", which, `was ${link}; it is ${path} now`));
	return path;
}

const isDirectory = (path: string): boolean => lookAt(path)?.isDirectory() === true;
