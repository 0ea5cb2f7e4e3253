import type { Agent, Performed } from "../agent/agent.ts";
import type { Slot, SyscallBatch } from "../agent/batch.ts";
import { PAGE_SIZE } from "../bytes/address.ts";
import { defined } from "../bytes/defined.ts";
import { openFile } from "../bytes/source.ts";
import { bytesFromText } from "../bytes/text.ts";
import { buildIdOfFile } from "../elf/build-id.ts";
import { refuse } from "../errors.ts";
import { errnoName } from "../linux/errno.ts";
import { AT, AT_FDCWD } from "../linux/fcntl.ts";
import { MAP } from "../linux/mman.ts";
import { O } from "../linux/open.ts";
import { PR } from "../linux/prctl.ts";
import { S_IFMT, S_IFREG } from "../linux/stat.ts";
import { ownFile } from "../plan/files/named.ts";
import { type Opener, type SwitchStep, stepsToCaller, stepsToUser } from "../plan/opener.ts";
import { pathOfLink, statLink } from "../proc/links.ts";
import { filesByStart, readMaps } from "../proc/maps.ts";
import type { CallName } from "../program/calls.ts";
import type { FileIdentity } from "../task/file-identity.ts";
import type { NeededFile } from "./needed-files.ts";

/** The file under a path, looked up with the rights of the process's user. */
export interface FoundFile extends FileIdentity {
	readonly size: bigint;
	readonly mode: number;
	/** Of a regular file for which it was asked, lower-case hex. */
	readonly buildId?: string;
	/** Device and inode as /proc/PID/maps shows them: some file systems (btrfs, overlayfs) give others in stat(2). */
	readonly inMaps?: string;
	/** Where the agent keeps it open, O_PATH. */
	readonly lent?: number;
}

/** What was found under a path: a file, or why there is none for this user, as an errno. */
export type FileLookup = FoundFile | { readonly errno: string };

export const isFound = (lookup: FileLookup | undefined): lookup is FoundFile =>
	lookup !== undefined && !("errno" in lookup);

/** Limits of one batch: files, and bytes of their names. */
const [AT_ONCE, NAMES] = [300, 65_536];

function portionsOf(wanted: readonly NeededFile[]): NeededFile[][] {
	const portions: NeededFile[][] = [];
	let room = 0;
	for (const want of wanted) {
		const portion = portions.at(-1);
		room -= want.path.length * 4;
		if (portion === undefined || room < 0 || portion.length === AT_ONCE) {
			portions.push([want]);
			room = NAMES - want.path.length * 4;
		} else portion.push(want);
	}
	return portions;
}

/** include/uapi/linux/limits.h, with the NUL. */
const PATH_MAX = 4096;

/**
 * Has the agent look up files with the user's rights: it opens each with O_PATH, which has no side effects and never blocks,
 * and calls faccessat2(2) on it. That fd is judged, not the name.
 */
export async function lookUpAsUser(
	agent: Agent,
	opener: Opener,
	wanted: readonly NeededFile[],
): Promise<ReadonlyMap<string, FileLookup>> {
	const lookups = new Map<string, FileLookup>();
	const short = wanted.filter(({ path }) => bytesFromText(path).length < PATH_MAX);
	for (const { path } of wanted) lookups.set(path, { errno: "ENAMETOOLONG" });
	for (const portion of portionsOf(short))
		for (const [path, lookup] of await lookUp(agent, opener, portion)) lookups.set(path, lookup);
	return lookups;
}

/** The same for one file, with our own rights. It stays open: see `lent`. */
export async function lookUpAndLend(agent: Agent, caller: Opener, wanted: NeededFile): Promise<FileLookup> {
	const [[, lookup] = ["", { errno: "ENOENT" }]] = await lookUp(agent, caller, [wanted], true);
	return lookup;
}

async function lookUp(
	agent: Agent,
	opener: Opener,
	wanted: readonly NeededFile[],
	keeping = false,
): Promise<[string, FileLookup][]> {
	const batch = agent.batch();
	const empty = batch.put(Buffer.from("\0"));
	const slots = await asUser(agent, batch, opener, () =>
		wanted.map(({ path, access }) => {
			const name = batch.put(Buffer.concat([bytesFromText(path), Buffer.of(0)]), 1);
			const fd = batch.call("openat", AT_FDCWD, name, O.PATH | O.CLOEXEC, 0);
			const may = batch.call("faccessat2", { valueOf: fd }, empty, access, AT.EMPTY_PATH | AT.EACCESS);
			return { fd, may };
		}),
	);
	const numbers = slots.added.map(({ fd }) => Number(slots.done.result(fd)));
	try {
		const found = wanted.map((want, i): [NeededFile, number, FileLookup] => {
			const [fd = -1, may = 0n] = [numbers[i], slots.done.result((slots.added[i] as { may: Slot }).may)];
			if (fd < 0) return [want, fd, { errno: errnoName(fd) }];
			// folklore: seccomp filters of containers that are older than faccessat2 (Linux 5.8) answer ENOSYS or EPERM; then
			// the later open(2) decides
			if (may < 0n && !["ENOSYS", "EPERM"].includes(errnoName(Number(may))))
				return [want, fd, { errno: errnoName(Number(may)) }];
			return [want, fd, statAt(agent.pid, fd, want)];
		});
		const shown = await shownInMaps(
			agent,
			opener,
			found.flatMap(([want, fd, lookup]) => (want.mapped && isFound(lookup) && isRegular(lookup) ? [fd] : [])),
		);
		return found.map(([{ path }, fd, lookup]) => {
			if (!isFound(lookup)) return [path, lookup];
			const line = shown.get(fd);
			return [path, { ...lookup, ...defined({ inMaps: line }), ...(keeping ? { lent: fd } : {}) }];
		});
	} finally {
		const open = keeping ? [] : numbers.filter((fd) => fd >= 0);
		const batch = agent.batch();
		for (const fd of open) batch.call("close", fd);
		await agent.perform(batch);
	}
}

const isRegular = ({ mode }: FoundFile): boolean => (mode & S_IFMT) === S_IFREG;

function statAt(pid: number, fd: number, { path, buildId }: NeededFile): FoundFile {
	const { dev, ino, birthtimeNs, size, mode } = statLink(pid, `fd/${fd}`);
	const seen = { device: dev, inode: ino, birth: birthtimeNs, size, mode: Number(mode) };
	if (!buildId || !isRegular(seen)) return seen;
	const source = openFile(pathOfLink(pid, `fd/${fd}`), path);
	try {
		const id = buildIdOfFile(source);
		return id === undefined ? seen : { ...seen, buildId: id };
	} finally {
		source.close();
	}
}

/** The agent maps a page of each file with PROT_NONE and its /proc/PID/maps is read. */
async function shownInMaps(agent: Agent, opener: Opener, fds: readonly number[]): Promise<ReadonlyMap<number, string>> {
	if (fds.length === 0) return new Map();
	const batch = agent.batch();
	const { added, done } = await asUser(agent, batch, opener, () =>
		fds.map((fd) => {
			const name = batch.put(Buffer.from(`${ownFile(fd)}\0`), 1);
			const open = batch.call("openat", AT_FDCWD, name, O.RDONLY | O.NONBLOCK | O.CLOEXEC, 0);
			const at = batch.call("mmap", 0, PAGE_SIZE, 0, MAP.PRIVATE, { valueOf: open }, 0);
			batch.call("close", { valueOf: open });
			return at;
		}),
	);
	const lines = filesByStart(readMaps(agent.pid));
	const places = fds.map((fd, i) => ({ fd, at: done.result(added[i] as Slot) })).filter(({ at }) => at > 0n);
	const clearing = agent.batch();
	for (const { at } of places) clearing.call("munmap", at, PAGE_SIZE);
	await agent.perform(clearing);
	return new Map(
		places.flatMap(({ fd, at }) => {
			const line = lines.get(at);
			return line === undefined ? [] : [[fd, line]];
		}),
	);
}

/** Which of some directories support O_TMPFILE for the user. */
export async function supportingTmpfile(
	agent: Agent,
	opener: Opener,
	directories: readonly string[],
): Promise<ReadonlySet<string>> {
	const asked = [...new Set(directories)].filter((path) => path.startsWith("/") && !path.includes("\0"));
	const batch = agent.batch();
	const { added, done } = await asUser(agent, batch, opener, () =>
		asked.map((path) => {
			const name = batch.put(Buffer.concat([bytesFromText(path), Buffer.of(0)]), 1);
			const fd = batch.call("openat", AT_FDCWD, name, O.TMPFILE | O.RDWR | O.CLOEXEC, 0o600);
			batch.call("close", { valueOf: fd });
			return fd;
		}),
	);
	return new Set(asked.filter((_, i) => done.result(added[i] as Slot) >= 0n));
}

/** Performs a batch whose added calls are made with the user's rights (see plan/opener.ts). */
async function asUser<T>(
	agent: Agent,
	batch: SyscallBatch,
	opener: Opener,
	add: () => T,
): Promise<{ readonly added: T; readonly done: Performed }> {
	const switching: { readonly call: CallName; readonly result: Slot }[] = [];
	const change = (steps: readonly SwitchStep[]): void => {
		for (const { call, args } of steps) {
			const operands = args.map((arg) => (typeof arg === "bigint" ? arg : batch.put(arg, 8)));
			switching.push({ call, result: batch.call(call, ...operands) });
		}
	};
	if (!opener.same) change(stepsToUser(opener));
	const added = add();
	if (!opener.same) change(stepsToCaller(opener));
	// changing ids made the agent non-dumpable; we may lack CAP_SYS_PTRACE and have to read its /proc files
	if (!opener.same) batch.call("prctl", PR.SET_DUMPABLE, 1, 0, 0, 0);
	const done = await agent.perform(batch, { patience: PATIENCE, doing: "looking at the files" });
	for (const { call, result } of switching)
		if (done.result(result) < 0n)
			refuse("ERR_HOST", {
				subject: "agent",
				finding: `${call} failed with ${errnoName(Number(done.result(result)))}`,
				expectation: "expected to look at files as the user of the process",
			});
	return { added, done };
}

/** Milliseconds. A file system that does not answer is not waited for. */
const PATIENCE = 60_000;
