import { defined } from "../bytes/defined.ts";
import { lengthOf } from "../bytes/range.ts";
import { accessOf } from "../descriptors/file.ts";
import { type Description, kindOf } from "../descriptors/kinds.ts";
import { refuseAll } from "../errors.ts";
import { caution, type Finding } from "../finding.ts";
import { type Descriptor, type Files, namedDirectories } from "../forest/files.ts";
import type { IpcNamespace, Segment } from "../forest/ipc.ts";
import type { Limit, Mapping, Memory, PosixTimer, Task, Thread } from "../forest/task.ts";
import { ACCESS } from "../linux/fcntl.ts";
import { SHM_MODE } from "../linux/ipc.ts";
import { MAP, PROT_WRITE } from "../linux/mman.ts";
import { O, O_ACCMODE } from "../linux/open.ts";
import { limitNumber } from "../linux/resource.ts";
import { SCHED } from "../linux/sched.ts";
import { CLOCK } from "../linux/time.ts";
import { ownProcPath } from "../proc/own-paths.ts";

/** A user without capabilities, in one group. */
export interface Reader {
	readonly uid: number;
	readonly gid: number;
}

/** What a process does with a file. */
export interface FileAccess {
	readonly path: string;
	/** {@link ACCESS} */
	readonly access: number;
	/** With a symbolic link itself, if it is one. */
	readonly link: boolean;
}

/** What a task may use, made by us for a user with fewer rights. */
export interface RightsOf {
	/** As whom the process will live. */
	readonly reader: Reader;
	/** Descriptors that whoever raises it names files for. */
	readonly fds: ReadonlyMap<number, string>;
	/** The terminal that it is given. */
	readonly tty?: string;
	/** What becomes of descriptors whose file it may not open. */
	readonly missing: "error" | "null";
	/** Our own, by RLIMIT_ number. */
	readonly limits: readonly Limit[];
	/** Whether its user may do that, of all that {@link usesOf} names; also where nothing is. */
	mayUse(use: FileAccess): boolean;
}

/** What a process does with files that its user opens, for which somebody has to know whether he may. */
export const usesOf = (task: Task, rights: Pick<RightsOf, "fds" | "tty">): FileAccess[] => [
	...task.memory.mappings.flatMap((mapping) => writingOf(mapping) ?? []),
	...openUsesOf(task, rights),
];

/** Those of what is open, and of its directories. */
export function openUsesOf(
	{ files, identity }: Pick<Task, "files" | "identity">,
	rights: Pick<RightsOf, "fds" | "tty">,
): FileAccess[] {
	const { descriptors } = files;
	return [
		...descriptors.flatMap(({ number, description }) =>
			rights.fds.has(number) ? [] : openingsOf(description, rights, identity.pid),
		),
		...namedDirectories(files).map(enteringOf),
	];
}

/**
 * Removes from a task what its user could not do himself: we open files, create files and set priorities with our rights, and a
 * core or a donor's images can ask for anything.
 *
 * - Files that the user may not open are not opened; a shared mapping of a file that the user may not write to becomes private.
 * - Files without a name and memfds, which we make, belong to the user; a program in them is nobody's set-user-ID program.
 * - No working or root directory behind a directory that is closed to the user.
 * - No timer that wakes the machine.
 * - No priority above the usual one, no protection from the kernel's choice when memory runs out, no limit above ours, no more
 *   memory locked than that allows.
 *
 * @throws NecromancerError ERR_FILE_MISMATCH for all files at once that have no substitute.
 */
export function withinRights(task: Task, rights: RightsOf): { readonly task: Task; readonly findings: Finding[] } {
	const { task: modest, findings } = withinMeans(task, rights);
	const tell = (subject: string, text: string): void => void findings.push(caution("credentials", subject, text));
	const mappings = modest.memory.mappings.map((mapping) => mappingOf(mapping, rights, tell));
	return {
		task: {
			...modest,
			memory: { ...modest.memory, mappings },
			files: filesOf(modest.files, rights, task.identity.pid, tell),
		},
		findings,
	};
}

/**
 * The part without file checks: files and memfds are made for the user, and priorities, OOM protection and limits are cut to
 * his.
 */
export function withinMeans(
	task: Task,
	{ reader, limits }: Pick<RightsOf, "reader" | "limits">,
): { readonly task: Task; readonly findings: Finding[] } {
	const findings: Finding[] = [];
	const tell = (subject: string, text: string): void => void findings.push(caution("credentials", subject, text));
	return {
		task: {
			...task,
			identity: { ...task.identity, ...fairChance(task) },
			threads: task.threads.map((thread) => ({
				...thread,
				scheduling: usual(thread, tell),
				...(thread.attributes === undefined ? {} : { attributes: unprivileged(thread.attributes) }),
			})),
			memory: unlocked(memoryOf(task.memory, reader), limits, tell),
			posixTimers: task.posixTimers.map((timer) => unalarming(timer, tell)),
			files: { ...task.files, descriptors: task.files.descriptors.map(unaided) },
			limits: task.limits.map((limit, number) => belowOurs(limit, limits[number])),
			...(task.ipc === undefined ? {} : { ipc: unlockedIpc(task.ipc, limits, tell) }),
		},
		findings,
	};
}

/** Made with its user's rights alone: no port that takes more. */
function unaided(descriptor: Descriptor): Descriptor {
	const { description } = descriptor;
	const { making } = kindOf(description);
	if (making.unaided === undefined) return descriptor;
	// processes that share a description share what becomes of it
	const changed = unaidedOf.get(description) ?? making.unaided(description);
	unaidedOf.set(description, changed);
	return { ...descriptor, description: changed };
}

const unaidedOf = new WeakMap<Description, Description>();

/** Without what takes CAP_SYS_NICE, CAP_SYS_ADMIN or CAP_SYS_RESOURCE: real-time input and output, and what reclaim spares. */
function unprivileged(attributes: NonNullable<Thread["attributes"]>): NonNullable<Thread["attributes"]> {
	const { "io-flusher": _flusher, "io-priority": priority = 0n, ...others } = attributes;
	const real = priority >> IOPRIO_CLASS_SHIFT === IOPRIO_CLASS_RT;
	return { ...others, ...(real || priority === 0n ? {} : { "io-priority": priority }) };
}

/** include/uapi/linux/ioprio.h */
const [IOPRIO_CLASS_SHIFT, IOPRIO_CLASS_RT] = [13n, 1n];

/** The clocks that wake the machine take CAP_WAKE_ALARM (timer_create(2)), and we make timers before the process has its user's rights. */
function unalarming(timer: PosixTimer, tell: Tell): PosixTimer {
	const { id, clock } = timer;
	if (clock !== CLOCK.REALTIME_ALARM && clock !== CLOCK.BOOTTIME_ALARM) return timer;
	tell(`timer ${id}`, "would wake the machine, which its user may not ask for; it waits until that is awake");
	return { ...timer, clock: clock === CLOCK.REALTIME_ALARM ? CLOCK.REALTIME : CLOCK.BOOTTIME };
}

type Tell = (subject: string, text: string) => void;

const fairChance = ({ identity: { oomScoreAdjust } }: Task): { readonly oomScoreAdjust?: number } =>
	oomScoreAdjust !== undefined && oomScoreAdjust < 0 ? { oomScoreAdjust: 0 } : {};

function usual({ tid, scheduling }: Thread, tell: Tell): Thread["scheduling"] {
	const { nice, policy, priority } = scheduling;
	const modest = ([SCHED.OTHER, SCHED.BATCH, SCHED.IDLE] as readonly number[]).includes(policy & ~SCHED.RESET_ON_FORK);
	if (nice >= 0 && modest) return scheduling;
	tell(`thread ${tid}`, "had a priority that its user may not ask for; it gets the usual one");
	return { nice: Math.max(nice, 0), ...(modest ? { policy, priority } : { policy: SCHED.OTHER, priority: 0 }) };
}

const belowOurs = ({ soft, hard }: Limit, { hard: most }: Limit = { soft, hard }): Limit => ({
	soft: soft < most ? soft : most,
	hard: hard < most ? hard : most,
});

/** Permission bits without those that lend the owner's rights. */
const PERMISSIONS = ~0o7000;

function memoryOf(memory: Memory, reader: Reader): Memory {
	const own = <T extends { readonly mode?: number }>(file: T): T => ({
		...file,
		...{ uid: reader.uid, gid: reader.gid },
		...(file.mode === undefined ? {} : { mode: file.mode & PERMISSIONS }),
	});
	return {
		...memory,
		objects: memory.objects.map((object) =>
			object.uid === undefined && object.gid === undefined ? object : own(object),
		),
		...(memory.ghosts === undefined ? {} : { ghosts: memory.ghosts.map(own) }),
	};
}

/** Who has not CAP_IPC_LOCK keeps no more in memory than RLIMIT_MEMLOCK allows (mlock(2)). */
function unlocked(memory: Memory, limits: readonly Limit[], tell: Tell): Memory {
	const isLocked = ({ flags, attributes }: Mapping): boolean =>
		(flags & MAP.LOCKED) !== 0 || attributes?.["locked-on-fault"] === 1n;
	const locked = memory.mappings.filter(isLocked).reduce((sum, mapping) => sum + lengthOf(mapping), 0n);
	const most = mostLocked(limits);
	if (locked <= most) return memory;
	tell("memory", `had ${locked} bytes locked, and its user may lock ${most}: nothing of it is locked`);
	const mappings = memory.mappings.map((mapping): Mapping => {
		if (!isLocked(mapping)) return mapping;
		const { "locked-on-fault": _locked, ...attributes } = mapping.attributes ?? {};
		return { ...mapping, flags: mapping.flags & ~MAP.LOCKED, ...(mapping.attributes && { attributes }) };
	});
	return { ...memory, mappings };
}

const mostLocked = (limits: readonly Limit[]): bigint => limits[limitNumber("MEMLOCK")]?.hard ?? 0n;

/** The same of segments (shmctl(2)). All that have the namespace have it so, and are told once. */
function unlockedIpc(ipc: IpcNamespace, limits: readonly Limit[], tell: Tell): IpcNamespace {
	const known = unlockedOf.get(ipc);
	if (known !== undefined) return known;
	const isLocked = ({ mode }: Segment): boolean => (mode & SHM_MODE.LOCKED) !== 0;
	const locked = ipc.segments.filter(isLocked).reduce((sum, { size }) => sum + size, 0n);
	const most = mostLocked(limits);
	if (locked <= most) return ipc;
	tell("System V segments", `had ${locked} bytes locked, and their user may lock ${most}: nothing of them is locked`);
	const segments = ipc.segments.map((it) => ({ ...it, mode: it.mode & ~SHM_MODE.LOCKED }));
	const unlocked = { ...ipc, segments };
	unlockedOf.set(ipc, unlocked);
	return unlocked;
}

const unlockedOf = new WeakMap<IpcNamespace, IpcNamespace>();

function writingOf({ backing, shared, prot }: Mapping): FileAccess | undefined {
	if (backing.kind !== "file" || !shared || backing.ghost !== undefined) return undefined;
	const writes = backing.writable || (prot & PROT_WRITE) !== 0;
	return writes ? { path: backing.path, access: ACCESS.R_OK | ACCESS.W_OK, link: false } : undefined;
}

function mappingOf(mapping: Mapping, { reader, mayUse }: RightsOf, tell: Tell): Mapping {
	const { backing } = mapping;
	const use = writingOf(mapping);
	if (use === undefined || backing.kind !== "file" || mayUse(use)) return mapping;
	tell(use.path, `uid ${reader.uid} may not write to it: what was shared with the file is private now`);
	return { ...mapping, shared: false, backing: { ...backing, writable: false } };
}

function filesOf(files: Files, rights: RightsOf, pid: number, tell: Tell): Files {
	const { descriptors, cwd, root, ...rest } = files;
	const named = namedDirectories(files);
	const { reader, fds, missing, mayUse } = rights;
	const closed = `may not be opened by uid ${reader.uid}, as whom it is raised`;
	const faults: { subject: string; finding: string; expectation: string }[] = [];
	const kept = descriptors.map((descriptor) => {
		const { number, description } = descriptor;
		const use = fds.has(number) ? undefined : openingsOf(description, rights, pid).find((it) => !mayUse(it));
		if (use === undefined) return descriptor;
		const { path } = use;
		if (missing === "error")
			faults.push({ subject: path, finding: closed, expectation: `descriptor ${number} had it open` });
		tell(`descriptor ${number}`, `${path} ${closed}; /dev/null takes its place`);
		return { ...descriptor, description: nothing(description) };
	});
	if (faults.length > 0)
		refuseAll(
			"ERR_FILE_MISMATCH",
			"files",
			faults,
			"name other files with --fd N=PATH, let /dev/null take their places with --missing-fds null, or trust the core and the images with --trust",
		);
	const directory = (path: string | undefined, what: string): string | undefined => {
		if (path === undefined || !named.includes(path) || mayUse(enteringOf(path))) return path;
		tell(what, `${path} is closed to uid ${reader.uid}; it is / instead`);
		return "/";
	};
	const [at, from] = [directory(cwd, "working directory"), directory(root, "root directory")];
	return {
		...{ ...rest, descriptors: kept },
		...defined({ cwd: at, root: from }),
	};
}

const enteringOf = (path: string): FileAccess => ({ path, access: ACCESS.X_OK, link: false });

/** What is done with the files that a description is made of, as far as its user opens them. */
const openingsOf = (description: Description, { tty }: Pick<RightsOf, "tty">, pid: number): readonly FileAccess[] =>
	(kindOf(description).making.files?.(description) ?? []).flatMap(({ looks: { path }, use }) => {
		if (path === tty) return [];
		const { flags } = description;
		// a process may always read its own /proc files
		if (ownProcPath(path, pid) !== undefined && (flags & O_ACCMODE) === O.RDONLY) return [];
		return [{ path, access: accessOf(flags), link: use === "link" }];
	});

const nothing = ({ id, flags }: Description): Description => ({
	...{ kind: "file", id, path: "/dev/null", position: 0n, unlinked: false },
	flags: flags & (O_ACCMODE | O.APPEND | O.NONBLOCK),
});
