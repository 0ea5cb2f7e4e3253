import { bytesOf } from "../../bytes/extent.ts";
import { u16, u64Bytes, viewOf } from "../../bytes/layout.ts";
import { bytesFromText } from "../../bytes/text.ts";
import { loss, note } from "../../finding.ts";
import type { IpcNamespace, IpcObject, MessageQueue, Segment, SemaphoreSet } from "../../forest/ipc.ts";
import type { Task } from "../../forest/task.ts";
import { CAP } from "../../linux/credentials.ts";
import { AT_FDCWD } from "../../linux/fcntl.ts";
import {
	IPC,
	type IpcSetting,
	ipcSettingNames,
	ipcSettings,
	MSGCTL,
	msqidDs,
	SEMCTL,
	SHM_MODE,
	SHMCTL,
	semidDs,
	shmidDs,
} from "../../linux/ipc.ts";
import { O } from "../../linux/open.ts";
import { PR } from "../../linux/prctl.ts";
import { SIGKILL } from "../../linux/signal.ts";
import { pathOfSetting } from "../../proc/sys.ts";
import type { Arg } from "../../program/args.ts";
import { bytesDatum, cellDatum, pathDatum } from "../../program/data.ts";
import type { Context } from "../context.ts";
import { hasCapability, mayGive } from "../host-rights.ts";
import type { Part } from "../part.ts";
import type { Stage } from "../plan.ts";

/**
 * Makes System V's objects in the IPC namespace that the process is born in, which is new and empty: ids, keys, owners, permissions,
 * values, messages, and then the namespace's settings. Segments get their bytes when memory is filled.
 */
export function planIpc({ ipc }: Pick<Task, "ipc">, context: Context): Part {
	if (ipc === undefined) return context.draft.made();
	const { segments, semaphores, queues } = ipc;
	const room = widest(ipc);
	const now = (name: IpcSetting): readonly bigint[] => room[name] ?? ipcSettings[name].usual;
	for (const name of ipcSettingNames) if (room[name] !== undefined) addSetting(name, room[name], "room", context);
	makeEach("shm_next_id", segments, makeSegment, context);
	makeEach("sem_next_id", semaphores, makeSemaphores, context);
	makeEach("msg_next_id", queues, makeQueue, context);
	for (const name of ipcSettingNames) {
		const wanted = ipc.settings[name] ?? ipcSettings[name].usual;
		if (name !== LATE && !sameValues(wanted, now(name))) addSetting(name, wanted, "as it was", context);
	}
	if (segments.length + semaphores.length + queues.length > 0)
		context.draft.report(
			note("attribute", "System V objects", "ipcs(1) tells who used them last, and when, as of the restore"),
		);
	return context.draft.made();
}

/** Set while a segment is filled that nobody shows, it would be the segment's end. */
export const LATE: IpcSetting = "shm_rmid_forced";

/** What limits must be while objects are made: none lower than in a new namespace, nor than what is there already. */
function widest({ settings, segments, semaphores, queues }: IpcNamespace): IpcNamespace["settings"] {
	const lengths = semaphores.map(({ values }) => BigInt(values.length));
	const needed: IpcNamespace["settings"] = {
		sem: [most(lengths), sum(lengths), 0n, BigInt(lengths.length)],
		shmmax: [most(segments.map(({ size }) => size))],
		shmmni: [BigInt(segments.length)],
		msgmni: [BigInt(queues.length)],
		msgmax: [most(queues.flatMap(textLengths))],
		msgmnb: [most(queues.flatMap((queue) => [BigInt(queue.capacity), sum(textLengths(queue))]))],
	};
	const wide: Partial<Record<IpcSetting, readonly bigint[]>> = {};
	for (const name of ipcSettingNames) {
		const { usual } = ipcSettings[name];
		const values = usual.map((least, i) => most([least, settings[name]?.[i] ?? 0n, needed[name]?.[i] ?? 0n]));
		if (needed[name] !== undefined && !sameValues(values, usual)) wide[name] = values;
	}
	return wide;
}

const textLengths = ({ messages }: MessageQueue): bigint[] => messages.map(({ text }) => text.length);
const most = (values: readonly bigint[]): bigint => values.reduce((most, value) => (value > most ? value : most), 0n);
const sum = (values: readonly bigint[]): bigint => values.reduce((sum, value) => sum + value, 0n);
const sameValues = (a: readonly bigint[], b: readonly bigint[]): boolean =>
	a.length === b.length && a.every((value, i) => value === b[i]);

/** A setting of the namespace that the process is in. */
export function addSetting(
	name: IpcSetting,
	values: readonly bigint[],
	why: string,
	{ draft: { leader } }: Context,
	stage: Stage = "shared",
): void {
	const path = pathOfSetting(ipcSettings[name].path);
	const file = cellDatum(`descriptor of ${name}`);
	const fd = { valueOf: file };
	const [text, length] = textOf(name, values);
	const args = [AT_FDCWD, pathDatum(`path of ${name}`, path), BigInt(O.WRONLY | O.CLOEXEC)] as const;
	leader.add(stage, "openat", args, `${name}: ${why}`, { save: file });
	leader.add(stage, "write", [fd, text, length], `${name}: ${why}`, { expect: { exactly: length } });
	leader.add(stage, "close", [fd], `${name} is set`);
}

function textOf(name: string, values: readonly bigint[]): readonly [text: Arg, length: bigint] {
	const bytes = bytesFromText(values.join(" "));
	return [bytesDatum(name, bytes), BigInt(bytes.length)];
}

/**
 * All objects of a kind. The id of each is what /proc/sys says just before (CONFIG_CHECKPOINT_RESTORE), once: then it is the
 * kernel's choice again.
 */
function makeEach<T extends IpcObject>(
	name: "shm_next_id" | "sem_next_id" | "msg_next_id",
	objects: readonly T[],
	make: (object: T, context: Context) => void,
	context: Context,
): void {
	if (objects.length === 0) return;
	const { leader } = context.draft;
	const file = cellDatum(`descriptor of ${name}`);
	const path = pathDatum(`path of ${name}`, pathOfSetting(ipcSettings[name].path));
	const why = "which id is next";
	leader.add("shared", "openat", [AT_FDCWD, path, BigInt(O.WRONLY | O.CLOEXEC)], why, { save: file });
	for (const object of objects) {
		const [text, length] = textOf(name, [BigInt(object.id)]);
		const args = [{ valueOf: file }, text, length, 0n] as const;
		leader.add("shared", "pwrite64", args, `${object.id} is next`, { expect: { exactly: length } });
		make(object, context);
	}
	leader.add("shared", "close", [{ valueOf: file }], "all have their ids");
}

/** Until it is as it was, whoever made it may do with it what he likes. */
const OWNERS_ALONE = 0o600;
const MAKING = IPC.CREAT | IPC.EXCL | OWNERS_ALONE;

const PERMISSIONS = 0o777;

function makeSegment(segment: Segment, context: Context): void {
	const { id, key, size, mode, hugePages = 0 } = segment;
	const { leader } = context.draft;
	const what = `System V segment ${id}`;
	asMaker(segment, what, context, () =>
		leader.add("shared", "shmget", [BigInt(key), size, BigInt((MAKING | hugePages) >>> 0)], what, exactly(id)),
	);
	if ((mode & SHM_MODE.LOCKED) !== 0)
		leader.add("shared", "shmctl", [BigInt(id), BigInt(SHMCTL.LOCK), 0n], `${what} is kept in memory`);
	const shm_perm = permOf(segment, what, context);
	const looks = bytesDatum(`owner of ${what}`, shmidDs.encode({ ...zeros(shmidDs), shm_perm }));
	leader.add("shared", "shmctl", [BigInt(id), BigInt(SHMCTL.SET), looks], `whose ${what} is`);
}

function makeSemaphores(set: SemaphoreSet, context: Context): void {
	const { id, key, values } = set;
	const { leader } = context.draft;
	const what = `System V semaphores ${id}`;
	asMaker(set, what, context, () =>
		leader.add("shared", "semget", [BigInt(key), BigInt(values.length), BigInt(MAKING)], what, exactly(id)),
	);
	const bytes = new Uint8Array(values.length * u16.size);
	for (const [i, value] of values.entries()) u16.write(viewOf(bytes), i * u16.size, value);
	const all = bytesDatum(`values of ${what}`, bytes);
	leader.add("shared", "semctl", [BigInt(id), 0n, BigInt(SEMCTL.SETALL), all], `values of ${what}`);
	const sem_perm = permOf(set, what, context);
	const looks = bytesDatum(`owner of ${what}`, semidDs.encode({ ...zeros(semidDs), sem_perm }));
	leader.add("shared", "semctl", [BigInt(id), 0n, BigInt(SEMCTL.SET), looks], `whose ${what} is`);
}

function makeQueue(queue: MessageQueue, context: Context): void {
	const { id, key, capacity, messages } = queue;
	const { leader } = context.draft;
	const what = `System V queue ${id}`;
	asMaker(queue, what, context, () => leader.add("shared", "msgget", [BigInt(key), BigInt(MAKING)], what, exactly(id)));
	for (const [i, { type, text }] of messages.entries()) {
		const bytes = bytesOf(text) ?? new Uint8Array(Number(text.length));
		const message = bytesDatum(`message ${i} of ${what}`, new Uint8Array(Buffer.concat([u64Bytes(type), bytes])));
		const args = [BigInt(id), message, text.length, BigInt(IPC.NOWAIT)] as const;
		leader.add("shared", "msgsnd", args, `message ${i} of ${what}`);
	}
	const msg_perm = permOf(queue, what, context);
	const looks = msqidDs.encode({ ...zeros(msqidDs), msg_perm, msg_qbytes: BigInt(capacity) });
	const args = [BigInt(id), BigInt(MSGCTL.SET), bytesDatum(`owner of ${what}`, looks)] as const;
	leader.add("shared", "msgctl", args, `whose ${what} is, and what it may hold`);
}

const exactly = (id: number) => ({ expect: { exactly: BigInt(id) } });

/** A record of a layout without anything in it. */
const zeros = <T>(layout: { readonly size: number; decode(bytes: Uint8Array): T }): T =>
	layout.decode(new Uint8Array(layout.size));

/** What IPC_SET looks at; the rest is the kernel's. */
function permOf({ uid, gid, mode, key }: IpcObject, what: string, { draft, facts, opener }: Context) {
	const given = mayGive({ uid, gid }, facts);
	if (!given)
		draft.report(loss("file-owner", what, `belonged to ${uid}, group ${gid}; it belongs to the restorer now`));
	const { caller } = opener;
	const owner = given ? { uid, gid } : { uid: caller.uid, gid: caller.gid };
	return { ...NOBODYS, key, ...owner, mode: mode & PERMISSIONS };
}

const NOBODYS = { cuid: 0, cgid: 0, seq: 0, __pad2: 0, __unused1: 0n, __unused2: 0n };

/** Who made an object may always remove it, and that is nobody's to change: it is made by him. */
function asMaker({ cuid, cgid }: IpcObject, what: string, context: Context, make: () => void): void {
	const { draft, facts, opener } = context;
	const { caller } = opener;
	if (cuid === caller.uid && cgid === caller.gid) {
		make();
		return;
	}
	if (!hasCapability(facts, CAP.SETUID) || !hasCapability(facts, CAP.SETGID) || facts.userNamespace !== undefined) {
		draft.report(loss("file-owner", what, `was made by ${cuid}, group ${cgid}; it is made by the restorer now`));
		make();
		return;
	}
	const { leader } = draft;
	const become = (call: "setresuid" | "setresgid", id: number, why: string): void =>
		leader.add("shared", call, [UNCHANGED, BigInt(id), UNCHANGED], why);
	become("setresgid", cgid, `as who made ${what}: his group`);
	become("setresuid", cuid, "himself");
	make();
	become("setresuid", caller.uid, "as the restorer again");
	become("setresgid", caller.gid, "his group");
	// the kernel forgets whose end ends it (commit_creds, kernel/cred.c)
	const kill = [BigInt(PR.SET_PDEATHSIG), BigInt(SIGKILL), 0n, 0n, 0n] as const;
	leader.add("shared", "prctl", kill, "still dies with the restorer");
}

const UNCHANGED = -1n;
