import { refuse } from "../errors.ts";
import { type Finding, loss } from "../finding.ts";
import { type FileLock, isSameLock, lockText } from "../forest/locks.ts";
import type { Task } from "../forest/task.ts";
import { kernelDevice, majorOf, minorOf } from "../linux/stat.ts";
import type { FilePolicy } from "../plan/files/files.ts";
import { takenLocks } from "../plan/files/locks.ts";
import type { OpenedInput } from "../plan/inputs.ts";
import { descriptorsOf, readFdinfo } from "../proc/fdinfo.ts";
import { ifShown } from "../proc/if-shown.ts";
import { statLink } from "../proc/links.ts";
import { type LockLine, readLocks } from "../proc/locks.ts";
import { readComm } from "../proc/single-values.ts";
import { processes } from "../proc/tasks.ts";

/**
 * Refuses a process whose files somebody else has locked meanwhile, and names him. Not where a donor lent the lock.
 *
 * @param agent the process that has the files open.
 * @throws NecromancerError ERR_HOST
 */
export function requireUnlocked(agent: number, task: Task, policy: FilePolicy, opened: readonly OpenedInput[]): void {
	const wanted = takenLocks(task, policy).filter(({ lock }) => lock.kind !== "lease" && lock.lent !== true);
	if (wanted.length === 0) return;
	const others = readLocks();
	for (const { lock, path } of wanted) {
		const other = path === undefined ? undefined : others.find(conflictOn(agent, lock, path, opened));
		if (other === undefined) continue;
		refuse("ERR_HOST", {
			subject: `${path}`,
			finding: `is locked by ${holderOf(other)}`,
			expectation: `expected it to be free for descriptor ${lock.descriptor}, which held ${lockText(lock)}`,
			remedy: "end that process, or go on without the locks: --no-file-locks",
		});
	}
}

function conflictOn(
	agent: number,
	lock: FileLock,
	path: string,
	opened: readonly OpenedInput[],
): (other: LockLine) => boolean {
	const input = opened.find((it) => it.path === path && it.use === "node");
	const look = input === undefined ? undefined : ifShown(() => statLink(agent, `fd/${input.number}`));
	if (look === undefined) return () => false;
	const device = kernelDevice(majorOf(look.dev), minorOf(look.dev));
	return (other) =>
		other.inode === look.ino &&
		other.device === device &&
		(other.type === "write" || lock.type === "write") &&
		// flock(2) and fcntl(2) do not see each other
		(lock.kind === "flock" ? other.kind === "flock" : other.kind === "posix" || other.kind === "ofd") &&
		(lock.length === 0n || other.start < lock.start + lock.length) &&
		(other.length === 0n || lock.start < other.start + other.length);
}

/** `process 4711 (postgres)`. A lock of an open file says no process: who has that open is looked for. */
function holderOf(lock: LockLine): string {
	const pid = lock.pid > 0 ? lock.pid : processes().find((candidate) => holds(candidate, lock));
	const comm = pid === undefined ? undefined : ifShown(() => readComm(pid));
	return pid === undefined ? "somebody who is not seen from here" : `process ${pid} (${comm ?? "which has ended"})`;
}

const holds = (pid: number, { kind, inode, device, start, length }: LockLine): boolean =>
	(ifShown(() => descriptorsOf(pid)) ?? []).some((number) =>
		(ifShown(() => readFdinfo(pid, number)) ?? { locks: [] }).locks.some(
			(it) =>
				it.kind === kind && it.inode === inode && it.device === device && it.start === start && it.length === length,
		),
	);

/** Locks that a process has not, in words; and those of a donor's that it did not get. */
export interface MissingLocks {
	readonly differences: readonly string[];
	readonly findings: readonly Finding[];
}

export function missingLocks(pid: number, task: Task, policy: FilePolicy): MissingLocks {
	const differences: string[] = [];
	const findings: Finding[] = [];
	for (const { lock } of takenLocks(task, policy)) {
		const { descriptor, lent = false } = lock;
		const held = readFdinfo(pid, descriptor).locks;
		if (held.some((line) => line.kind !== undefined && isSameLock({ ...line, kind: line.kind }, lock))) continue;
		if (lent)
			findings.push(
				loss(
					"file-locks",
					`descriptor ${descriptor}`,
					`somebody has locked the file: it does not get ${lockText(lock)}`,
				),
			);
		else differences.push(`descriptor ${descriptor} does not hold ${lockText(lock)}`);
	}
	return { differences, findings };
}
