import { closeSync, openSync, readSync } from "node:fs";
import type { Agent } from "../agent/agent.ts";
import { inBatches } from "../agent/in-batches.ts";
import { address, PAGE_SIZE, pagesUp } from "../bytes/address.ts";
import { extent } from "../bytes/extent.ts";
import type { Struct } from "../bytes/layout.ts";
import { u16, u64, viewOf } from "../bytes/layout.ts";
import { attempt, fromBuffer } from "../bytes/source.ts";
import { zeroEnded } from "../bytes/text.ts";
import { refuse } from "../errors.ts";
import type { IpcNamespace, IpcObject, Message, MessageQueue, Segment, SemaphoreSet } from "../forest/ipc.ts";
import { errnoName } from "../linux/errno.ts";
import { AT_FDCWD } from "../linux/fcntl.ts";
import {
	IPC,
	IPC_INFO_SIZE,
	type IpcSetting,
	type ipcPerm,
	ipcSettingNames,
	ipcSettings,
	MSG_COPY,
	MSGCTL,
	msqidDs,
	SEMCTL,
	SHMCTL,
	semidDs,
	shmidDs,
} from "../linux/ipc.ts";
import { MAP, PROT_READ, PROT_WRITE } from "../linux/mman.ts";
import { O } from "../linux/open.ts";
import { pathOfMemory } from "../proc/links.ts";
import { pathOfSetting } from "../proc/sys.ts";

/** The objects of an IPC namespace, without the bytes of segments. */
export interface IpcListing {
	readonly settings: IpcNamespace["settings"];
	readonly segments: readonly LiveSegment[];
	readonly semaphores: readonly LiveSemaphores[];
	readonly queues: readonly MessageQueue[];
}

export interface LiveSegment extends Omit<Segment, "contents" | "hugePages"> {
	/** How many mappings show it. */
	readonly attached: number;
}

export interface LiveSemaphores extends SemaphoreSet {
	/** Whether semop(2) was ever called for it. */
	readonly used: boolean;
	/** Who operated on each last, in the pid namespace of the agent; 0 for nobody there. */
	readonly pids: readonly number[];
}

/**
 * Looks at the IPC namespace that an agent lives in. Nothing of it is changed: messages stay in their queues.
 *
 * @throws NecromancerError ERR_HOST where the kernel does not tell.
 */
export async function readIpcNamespace(agent: Agent): Promise<IpcListing> {
	const settings = await readSettings(agent);
	const segments = await objectsOf(agent, "shmctl", SHMCTL, shmidDs.size);
	const sets = await objectsOf(agent, "semctl", SEMCTL, semidDs.size);
	const queues = await objectsOf(agent, "msgctl", MSGCTL, msqidDs.size);
	return {
		settings,
		segments: segments.map(({ id, bytes }) => {
			const { shm_perm, shm_segsz, shm_nattch } = shmidDs.decode(bytes);
			return { ...objectFrom(id, shm_perm), size: shm_segsz, attached: Number(shm_nattch) };
		}),
		semaphores: await semaphoresOf(agent, sets),
		queues: await queuesOf(agent, queues),
	};
}

const objectFrom = (id: number, { key, uid, gid, cuid, cgid, mode }: Struct<typeof ipcPerm>): IpcObject => ({
	...{ id, key, mode, uid, gid, cuid, cgid },
});

interface Stat {
	readonly id: number;
	readonly bytes: Buffer;
}

/** All of a kind, in the order of the kernel's table. */
async function objectsOf(
	agent: Agent,
	call: "shmctl" | "semctl" | "msgctl",
	{ INFO, STAT_ANY }: { readonly INFO: number; readonly STAT_ANY: number },
	size: number,
): Promise<readonly Stat[]> {
	const info = new Uint8Array(IPC_INFO_SIZE);
	const last = call === "semctl" ? await agent.call(call, 0, 0, INFO, info) : await agent.call(call, 0, INFO, info);
	if (last < 0n) refuseUntold(call, last);
	const found: Stat[] = [];
	await inBatches(
		agent,
		Array.from({ length: Number(last) + 1 }, (_, i) => i),
		{
			...{ doing: "listing System V objects", patience: 60_000 },
			add: (batch, index) => {
				const room = batch.space(size);
				const id =
					call === "semctl" ? batch.call(call, index, 0, STAT_ANY, room) : batch.call(call, index, STAT_ANY, room);
				return { room, id };
			},
			read: (done, { room, id }) => {
				const result = done.result(id);
				// an index that nothing has
				if (result >= 0n) found.push({ id: Number(result), bytes: Buffer.from(done.bytes(room)) });
			},
		},
	);
	return found;
}

const refuseUntold = (call: string, result: bigint): never =>
	refuse("ERR_HOST", {
		subject: "IPC namespace",
		finding: `${call} failed with ${errnoName(Number(result))}`,
		expectation: "expected it to tell its objects",
	});

/** What is not as in a new namespace. */
async function readSettings(agent: Agent): Promise<IpcNamespace["settings"]> {
	const settings: Partial<Record<IpcSetting, readonly bigint[]>> = {};
	await inBatches(agent, ipcSettingNames, {
		...{ doing: "reading settings of System V objects", patience: 60_000 },
		add: (batch, name) => {
			const path = batch.put(zeroEnded(pathOfSetting(ipcSettings[name].path)), 1);
			const fd = { valueOf: batch.call("openat", AT_FDCWD, path, O.RDONLY | O.CLOEXEC) };
			const room = batch.space(MOST_TEXT);
			const length = batch.call("read", fd, room, MOST_TEXT);
			batch.call("close", fd);
			return { room, length };
		},
		read: (done, { room, length }, name) => {
			const got = done.result(length);
			// a kernel without POSIX queues, or without CONFIG_CHECKPOINT_RESTORE
			if (got < 0n) return;
			const text = done.bytes(room).subarray(0, Number(got)).toString("latin1");
			const values = text.trim().split(/\s+/).map(BigInt);
			if (values.some((value, i) => value !== ipcSettings[name].usual[i])) settings[name] = values;
		},
	});
	return settings;
}

const MOST_TEXT = 256;

async function semaphoresOf(agent: Agent, sets: readonly Stat[]): Promise<LiveSemaphores[]> {
	const found: LiveSemaphores[] = [];
	for (const { id, bytes } of sets) {
		const { sem_perm, sem_nsems, sem_otime } = semidDs.decode(bytes);
		const count = Number(sem_nsems);
		const values = await withRoom(agent, count * u16.size, async ({ at, read }) => {
			const got = await agent.call("semctl", id, 0, SEMCTL.GETALL, at);
			if (got < 0n) refuseUntold("semctl", got);
			const view = viewOf(read(count * u16.size));
			return Array.from({ length: count }, (_, i) => u16.read(view, i * u16.size));
		});
		const used = sem_otime !== 0n;
		found.push({ ...objectFrom(id, sem_perm), values, used, pids: used ? await lastUsers(agent, id, count) : [] });
	}
	return found;
}

async function lastUsers(agent: Agent, id: number, count: number): Promise<number[]> {
	const pids: number[] = [];
	await inBatches(
		agent,
		Array.from({ length: count }, (_, i) => i),
		{
			...{ doing: "asking who used semaphores", patience: 60_000 },
			add: (batch, index) => batch.call("semctl", id, index, SEMCTL.GETPID, 0),
			read: (done, slot) => void pids.push(Number(done.result(slot))),
		},
	);
	return pids;
}

async function queuesOf(agent: Agent, queues: readonly Stat[]): Promise<MessageQueue[]> {
	const found: MessageQueue[] = [];
	for (const { id, bytes } of queues) {
		const { msg_perm, msg_cbytes, msg_qnum, msg_qbytes } = msqidDs.decode(bytes);
		const messages: Message[] = [];
		if (msg_qnum > 0n)
			await withRoom(agent, u64.size + Number(msg_cbytes), async ({ at, read }) => {
				for (let n = 0n; n < msg_qnum; n++) {
					const length = await agent.call("msgrcv", id, at, msg_cbytes, n, IPC.NOWAIT | MSG_COPY);
					if (length < 0n) refuseUntold("msgrcv", length);
					const message = Buffer.from(read(u64.size + Number(length)));
					const name = `message ${n} of queue ${id}`;
					messages.push({
						type: u64.read(viewOf(message), 0),
						text: extent(fromBuffer(name, message), BigInt(u64.size), length),
					});
				}
			});
		found.push({ ...objectFrom(id, msg_perm), capacity: Number(msg_qbytes), messages });
	}
	return found;
}

/** Memory of the agent's own, for as long as it is needed. */
async function withRoom<T>(
	agent: Agent,
	size: number,
	use: (room: { readonly at: bigint; readonly read: (length: number) => Buffer }) => Promise<T>,
): Promise<T> {
	const length = pagesUp(BigInt(size)) || PAGE_SIZE;
	const at = await agent.call("mmap", 0, length, PROT_READ | PROT_WRITE, MAP.PRIVATE | MAP.ANONYMOUS, -1, 0);
	if (at < 0n) refuseUntold("mmap", at);
	const path = pathOfMemory(agent.pid);
	const mem = attempt(path, () => openSync(path, "r"));
	try {
		return await use({
			at,
			read: (length) => {
				const bytes = Buffer.alloc(length);
				attempt(path, () => readSync(mem, bytes, 0, length, address(at)));
				return bytes;
			},
		});
	} finally {
		closeSync(mem);
		await agent.call("munmap", at, length);
	}
}
