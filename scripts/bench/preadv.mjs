// The bytes of a file into fresh memory of 4 KiB pages, by one thread that does nothing else: `node preadv.mjs FILE` tells
// descriptor 3 the seconds. An agent makes the calls; its start is not in the time.
import { statSync, writeSync } from "node:fs";

const { startAgent } = await import("../../dist/agent/start-agent.js");

const [MMAP_READ_WRITE, PRIVATE_ANONYMOUS, NOHUGEPAGE] = [3, 0x22, 15];
const PIECE = 64 << 10;
const PIECES = 256;

const [, , file] = process.argv;
const size = statSync(file).size;
const start = 0x2000_0000_0000n;
const agent = await startAgent({ start, end: start + 0x10_0000n }, { streams: "ignore" });
try {
	const name = Buffer.from(`${file}\0`);
	const fd = await agent.call("open", name, 0n);
	const memory = await agent.call("mmap", 0, size, MMAP_READ_WRITE, PRIVATE_ANONYMOUS, -1, 0);
	if (fd < 0n || memory < 0n) throw new Error(`${file} cannot be read in`);
	await agent.call("madvise", memory, size, NOHUGEPAGE);
	const begin = process.hrtime.bigint();
	for (let done = 0; done < size; ) {
		const batch = agent.batch();
		const calls = [];
		for (let i = 0; i < 16 && done < size; i++) {
			const length = Math.min(PIECE * PIECES, size - done);
			const pieces = Math.ceil(length / PIECE);
			const vector = Buffer.alloc(16 * pieces);
			for (let piece = 0; piece < pieces; piece++) {
				vector.writeBigUInt64LE(memory + BigInt(done + piece * PIECE), 16 * piece);
				vector.writeBigUInt64LE(BigInt(Math.min(PIECE, length - piece * PIECE)), 16 * piece + 8);
			}
			calls.push({ length, result: batch.call("preadv", fd, batch.put(vector), pieces, done, 0) });
			done += length;
		}
		const performed = await agent.perform(batch);
		for (const { length, result } of calls)
			if (performed.result(result) !== BigInt(length)) throw new Error(`preadv returned ${performed.result(result)}`);
	}
	const seconds = Number(process.hrtime.bigint() - begin) / 1e9;
	writeSync(3, `${seconds}`);
} finally {
	await agent.close();
}
