import { fileOffset } from "../../../src/bytes/address.ts";
import { extent, place } from "../../../src/bytes/extent.ts";
import { fromBuffer } from "../../../src/bytes/source.ts";
import type { IpcNamespace } from "../../../src/forest/ipc.ts";

const source = fromBuffer("pages", Buffer.from("a".repeat(4096) + "b".repeat(4096)));
const text = (words: string) => extent(fromBuffer(words, Buffer.from(words)), 0n, BigInt(words.length));

/** One of each of System V's kinds; the segment's second page is a hole. */
export const SMALL_IPC: IpcNamespace = {
	settings: { sem: [100n, 2000n, 30n, 40n], shmmax: [1n << 40n], msgmax: [4000n] },
	segments: [
		{
			...{ id: 32771, key: 0xdeadbeef, mode: 0o640, uid: 7, gid: 8, cuid: 9, cgid: 10, size: 9000n },
			contents: [
				place(fileOffset(0), extent(source, 0n, 4096n)),
				place(fileOffset(8192), extent(source, 4096n, 4096n)),
			],
		},
		{ id: 2, key: 0, mode: 0o1600, uid: 0, gid: 0, cuid: 0, cgid: 0, size: 4096n, contents: [] },
	],
	semaphores: [{ id: 5, key: 5, mode: 0o666, uid: 0, gid: 0, cuid: 0, cgid: 0, values: [1, 0, 32767] }],
	queues: [
		{
			...{ id: 1, key: 70, mode: 0o600, uid: 0, gid: 0, cuid: 0, cgid: 0, capacity: 20000 },
			messages: [
				{ type: 3n, text: text("three bytes or more") },
				{ type: (1n << 63n) - 1n, text: text("") },
			],
		},
	],
};
