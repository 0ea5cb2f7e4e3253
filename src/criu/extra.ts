import type {
	BpfmapDataEntry,
	GhostChunkEntry,
	GhostFileEntry,
	IpcMsg,
	IpcMsgEntry,
	IpcSemEntry,
	IpcShmEntry,
	Messages,
	PipeDataEntry,
	SkPacketEntry,
	TcpStreamEntry,
} from "./wire/generated/schema.ts";

/**
 * What lies behind a record: so many bytes, all up to the end of the file, or records again, each with its own bytes
 * behind it (`count` of them, or up to the end of the file).
 */
export type Extra =
	| { readonly bytes: bigint }
	| { readonly rest: true }
	| {
			readonly each: keyof Messages;
			readonly count?: number;
			readonly bytesOf: (item: never) => bigint;
	  };

/** Says what lies behind a record, which must be of the message that the kind's records are. */
export type ExtraRule = (record: never) => Extra;

/** The rules, each for one message. Sizes are bytes. */
export const extras = {
	pipe: ({ bytes }: PipeDataEntry): Extra => ({ bytes: BigInt(bytes) }),
	packet: ({ length }: SkPacketEntry): Extra => ({ bytes: BigInt(length) }),
	/** The receive queue, then the send queue. */
	stream: ({ inq_len, outq_len }: TcpStreamEntry): Extra => ({ bytes: BigInt(inq_len) + BigInt(outq_len) }),
	/** The content of the file, whole or as chunks that leave its holes out. Nothing for a socket or a device. */
	ghost: ({ chunks }: GhostFileEntry): Extra =>
		chunks === true ? { each: "ghost_chunk_entry", bytesOf: ({ len }: GhostChunkEntry) => len } : { rest: true },
	/** Today the content lies with the pages, as of any shared object. */
	sharedMemory: ({ size, in_pagemaps }: IpcShmEntry): Extra => ({
		bytes: in_pagemaps === true ? 0n : padded(size, 4n),
	}),
	messages: ({ qnum }: IpcMsgEntry): Extra => ({
		each: "ipc_msg",
		count: qnum,
		bytesOf: ({ msize }: IpcMsg) => padded(BigInt(msize), 8n),
	}),
	/** 16 bits a semaphore. */
	semaphores: ({ nsems }: IpcSemEntry): Extra => ({ bytes: padded(2n * BigInt(nsems), 8n) }),
	bpfmap: ({ keys_bytes, values_bytes }: BpfmapDataEntry): Extra => ({
		bytes: BigInt(keys_bytes) + BigInt(values_bytes),
	}),
} as const;

const padded = (bytes: bigint, to: bigint): bigint => ((bytes + to - 1n) / to) * to;
