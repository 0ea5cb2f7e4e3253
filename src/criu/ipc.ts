import { hex } from "../bytes/address.ts";
import { type Extent, extent } from "../bytes/extent.ts";
import { fromBuffer } from "../bytes/source.ts";
import { refuse } from "../errors.ts";
import { type IpcSetting, ipcSettingNames, ipcSettings } from "../linux/ipc.ts";
import { framed } from "./image.ts";
import { frames } from "./wire/frames.ts";
import type { IpcMsgEntry, IpcVarEntry } from "./wire/generated/schema.ts";
import { decodeRecord } from "./wire/protobuf.ts";

/** The field of an ipc_var_entry that has a setting. */
const fields = {
	sem: "sem_ctls",
	msgmax: "msg_ctlmax",
	msgmnb: "msg_ctlmnb",
	msgmni: "msg_ctlmni",
	shmmax: "shm_ctlmax",
	shmall: "shm_ctlall",
	shmmni: "shm_ctlmni",
	shm_rmid_forced: "shm_rmid_forced",
	queues_max: "mq_queues_max",
	msg_max: "mq_msg_max",
	msgsize_max: "mq_msgsize_max",
	msg_default: "mq_msg_default",
	msgsize_default: "mq_msgsize_default",
	shm_next_id: "shm_next_id",
	sem_next_id: "sem_next_id",
	msg_next_id: "msg_next_id",
} as const satisfies Readonly<Record<IpcSetting, keyof IpcVarEntry>>;

/** Settings that are not as in a new namespace. */
export type IpcSettings = Readonly<Partial<Record<IpcSetting, readonly bigint[]>>>;

/** What is as in a new namespace is left out, and what the image does not tell. */
export function ipcSettingsFrom(entry: IpcVarEntry): IpcSettings {
	const settings: Partial<Record<IpcSetting, readonly bigint[]>> = {};
	for (const name of ipcSettingNames) {
		const value = entry[fields[name]];
		if (value === undefined) continue;
		const values = typeof value === "object" ? value.map(BigInt) : [BigInt(value)];
		const { usual } = ipcSettings[name];
		if (values.length === usual.length && values.some((one, i) => one !== usual[i])) settings[name] = values;
	}
	return settings;
}

/** The inverse. CRIU leaves out what the next id is to be where that is the kernel's choice. */
export function ipcVarEntry(settings: IpcSettings): IpcVarEntry {
	const told = ipcSettingNames.flatMap((name): [keyof IpcVarEntry, number | bigint | number[]][] => {
		const values = settings[name] ?? ipcSettings[name].usual;
		const [first = 0n] = values;
		if (first < 0n) return [];
		const wide = name === "shmmax" || name === "shmall";
		return [[fields[name], name === "sem" ? values.map(Number) : wide ? first : Number(first)]];
	});
	// auto_msgmni is a switch that no kernel looks at any more (Linux 3.19)
	return { auto_msgmni: 0, ...Object.fromEntries(told) } as unknown as IpcVarEntry;
}

/** A message in its queue. */
export interface QueuedMessage {
	readonly type: bigint;
	readonly text: Extent;
}

/** What lies behind each record is filled up to whole ones of these, bytes. */
const UNIT = 8n;

const padded = (length: bigint): bigint => ((length + UNIT - 1n) / UNIT) * UNIT;

/** The messages behind an ipc_msg_entry. */
export function messagesBehind({ qnum }: IpcMsgEntry, extra: Extent | undefined, name: string): QueuedMessage[] {
	if (extra === undefined) return [];
	const reader = frames(extra.source, extra.offset);
	return Array.from({ length: qnum }, () => {
		const subject = `${name} at ${hex(reader.at)}`;
		const { mtype, msize } = decodeRecord("ipc_msg", reader.record(), subject);
		if (mtype < 1n || mtype >= 1n << 63n)
			refuse("ERR_IMAGE_CORRUPT", {
				subject,
				finding: `a message is of type ${mtype}`,
				expectation: "expected 1 to 2^63 - 1",
			});
		const text = extent(extra.source, reader.at, BigInt(msize));
		reader.skip(padded(BigInt(msize)));
		return { type: mtype, text };
	});
}

/** The inverse of {@link messagesBehind}. @param bytesOf the bytes of a message. */
export function behindQueue(
	messages: readonly QueuedMessage[],
	bytesOf: (text: Extent) => Uint8Array,
): { readonly extra?: Extent } {
	const pieces = messages.flatMap(({ type, text }) => {
		const fill = new Uint8Array(Number(padded(text.length) - text.length));
		return [framed("ipc_msg", { mtype: type, msize: Number(text.length) }), bytesOf(text), fill];
	});
	return behindRecord("messages", pieces);
}

/** The values behind an ipc_sem_entry, 16 bits each. */
export const behindSemaphores = (values: readonly number[]): { readonly extra?: Extent } => {
	const bytes = new Uint8Array(Number(padded(2n * BigInt(values.length))));
	new Uint16Array(bytes.buffer).set(values);
	return behindRecord("semaphores", [bytes]);
};

function behindRecord(name: string, pieces: readonly Uint8Array[]): { readonly extra?: Extent } {
	const bytes = Buffer.concat(pieces);
	return bytes.length === 0 ? {} : { extra: extent(fromBuffer(name, bytes), 0n, BigInt(bytes.length)) };
}
