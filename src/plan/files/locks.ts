import { defined } from "../../bytes/defined.ts";
import { pathOfDescriptor } from "../../bytes/own-descriptor.ts";
import { pathOf } from "../../descriptors/kinds.ts";
import { loss } from "../../finding.ts";
import { type FileLock, lockText } from "../../forest/locks.ts";
import type { Task } from "../../forest/task.ts";
import { EAGAIN } from "../../linux/errno.ts";
import { AT_FDCWD, F, F_LCK, F_OWNER, flockStruct, fOwnerEx, LOCK } from "../../linux/fcntl.ts";
import { O, O_ACCMODE } from "../../linux/open.ts";
import { bytesDatum, pathDatum } from "../../program/data.ts";
import type { StepOptions } from "../../program/program.ts";
import type { Context } from "../context.ts";
import type { ListDraft, Part } from "../part.ts";
import { type FilePolicy, isOwn, slotsOf } from "./slots.ts";

/** A lock that a process will take, and what is said of it. */
interface TakenLock {
	readonly lock: FileLock;
	/** O_ flags of its descriptor. */
	readonly flags: number;
	/** Of its file, where it has one. */
	readonly path?: string;
	readonly why: string;
}

/** Those of descriptors that are as they were, in their order. */
export function takenLocks({ files }: Pick<Task, "files">, policy: FilePolicy): readonly TakenLock[] {
	const { locks = [] } = files;
	if (locks.length === 0 || policy.locks === false) return [];
	const own = new Map(
		slotsOf(files, policy, () => {})
			.filter(isOwn)
			.map((slot) => [slot.number, slot.content]),
	);
	return locks.flatMap((lock): TakenLock[] => {
		const description = own.get(lock.descriptor);
		if (description === undefined) return [];
		const path = pathOf(description);
		const on = `${lock.descriptor}${path === undefined ? "" : `, ${path}`}`;
		return [{ lock, flags: description.flags, ...defined({ path }), why: `${lockText(lock)}, by ${on}` }];
	});
}

/** When nothing is closed any more: whoever closes any descriptor of a file lets go of all that he has locked of it (fcntl(2)). */
export function planLocks(task: Task, context: Context, policy: FilePolicy): Part {
	const { draft } = context;
	const list = draft.leader;
	const taken = takenLocks(task, policy);
	reportLeft(task, taken, policy, context);
	for (const { lock, why } of taken) {
		if (lock.kind === "lease") continue;
		const fd = BigInt(lock.descriptor);
		const options = optionsOf(lock);
		if (lock.kind === "flock") {
			list.add(
				"directories",
				"flock",
				[fd, BigInt((lock.type === "read" ? LOCK.SH : LOCK.EX) | LOCK.NB)],
				why,
				options,
			);
			continue;
		}
		const { start: l_start, length: l_len } = lock;
		const range = bytesDatum(
			why,
			flockStruct.encode({ l_type: F_TYPES[lock.type], l_whence: 0, l_start, l_len, l_pid: 0 }),
			{
				align: 8,
			},
		);
		const command = lock.kind === "posix" ? F.SETLK : F.OFD_SETLK;
		list.add("directories", "fcntl", [fd, BigInt(command), range], why, options);
	}
	return draft.made();
}

/**
 * As its user, with the capabilities that it has, before it may lose sight of /proc. Taking a lease names its owner, which is not
 * yet who will be told; so nobody is, until all owners are named.
 */
export function planLeases(task: Task, context: Context, policy: FilePolicy): Part {
	const { draft, actor } = context;
	const list = draft.leader;
	for (const { lock, flags, why } of takenLocks(task, policy)) {
		if (lock.kind !== "lease") continue;
		actor.asUser("directories");
		takeLease(list, lock, flags, why);
	}
	actor.asCaller("directories");
	return draft.made();
}

const F_TYPES = { read: F_LCK.RDLCK, write: F_LCK.WRLCK, none: F_LCK.UNLCK } as const;

/** What a donor held somebody may hold since, the donor itself above all. */
const optionsOf = ({ lent }: FileLock): StepOptions => (lent === true ? { expect: { successOr: EAGAIN } } : {});

function takeLease(list: ListDraft, lock: FileLock, flags: number, why: string): void {
	const { descriptor, type, breaking } = lock;
	const fd = BigInt(descriptor);
	// what it was before somebody came is not told: what it may have been by the way in which the file is open
	const before = breaking !== true ? type : (flags & O_ACCMODE) === O.RDONLY && type === "none" ? "read" : "write";
	list.add("directories", "fcntl", [fd, BigInt(F.SETLEASE), BigInt(F_TYPES[before])], why, optionsOf(lock));
	const nobody = bytesDatum(`nobody for ${descriptor}`, fOwnerEx.encode({ type: F_OWNER.PID, pid: 0 }), { align: 4 });
	list.add("directories", "fcntl", [fd, BigInt(F.SETOWN_EX), nobody], `nobody is told of the end of that lease yet`);
	if (breaking !== true) return;
	const path = pathDatum(`path of descriptor ${descriptor}`, pathOfDescriptor(descriptor));
	const way = type === "none" ? O.WRONLY : O.RDONLY;
	list.add(
		"directories",
		"openat",
		[AT_FDCWD, path, BigInt(way | O.NONBLOCK | O.CLOEXEC)],
		`somebody else opens it: it has to become ${type === "none" ? "nothing" : "one to read"}`,
		{ expect: { exactly: BigInt(-EAGAIN) } },
	);
}

function reportLeft({ files }: Task, taken: readonly TakenLock[], policy: FilePolicy, { draft }: Context): void {
	const known = new Set(taken.map(({ lock }) => lock));
	for (const lock of files.locks ?? []) {
		const subject = `descriptor ${lock.descriptor}`;
		if (!known.has(lock)) {
			const because = policy.locks === false ? "as you wish" : "whose descriptor is another file now";
			draft.report(loss("file-locks", subject, `held ${lockText(lock)}; it does not, ${because}`));
		}
	}
}
