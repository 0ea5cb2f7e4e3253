import { closeSync, ftruncateSync, mkdtempSync, openSync, readFileSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, describe, expect, it } from "vitest";
import type { Agent } from "../../src/agent/agent.ts";
import { address, PAGE_SIZE } from "../../src/bytes/address.ts";
import { extent } from "../../src/bytes/extent.ts";
import type { Chunk } from "../../src/trace/page-chunks.ts";
import type { PagePipe } from "../../src/trace/page-pipe.ts";
import { pourPages } from "../../src/trace/pour-pages.ts";

const PAGE = Number(PAGE_SIZE);
const directory = mkdtempSync(join(tmpdir(), "necromancer-pour-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

/** So many pages, each of bytes that name it. */
const memoryOf = (pages: number): Buffer =>
	Buffer.concat(Array.from({ length: pages }, (_, i) => Buffer.alloc(PAGE, `${i}`.padStart(8, "."))));

/** How the pipe fares with the requests, in order: after so many chunks it fails, having written so many bytes of the next. */
interface Fate {
	readonly whole: number;
	readonly bytes: number;
	readonly empty: boolean;
}

/**
 * A pipe, and an agent that knows its file's position. As the real ones: requests are dealt with in order, one after the
 * other; a failure leaves the position anywhere, and what was sent after that is written from other bytes.
 */
function pipeTo(fd: number, memory: Buffer, capacity: number, fates: readonly Fate[]) {
	let position = 0;
	let dirty = false;
	let requests = 0;
	let last: Promise<unknown> = Promise.resolve();
	const inOrder = <T>(work: () => T): Promise<T> => {
		const done = last.then(async () => {
			await new Promise((go) => setImmediate(go));
			return work();
		});
		last = done;
		return done;
	};
	const bytesOf = ({ pieces }: Chunk): Buffer =>
		Buffer.concat(pieces.map(({ offset, length }) => memory.subarray(Number(offset), Number(offset + length))));
	const write = (bytes: Buffer): void => {
		writeSync(fd, bytes, 0, bytes.length, position);
		position += bytes.length;
	};
	const pipe: PagePipe = {
		capacity,
		rounds: 3,
		handOver: async (chunks) => {
			const found = await inOrder(() => {
				const fate = fates[requests++];
				const wrong = dirty;
				for (const [i, chunk] of chunks.entries()) {
					const bytes = wrong ? Buffer.alloc(chunk.length, "wrong") : bytesOf(chunk);
					if (fate !== undefined && i === fate.whole) {
						write(bytes.subarray(0, fate.bytes % bytes.length));
						dirty = true;
						return { whole: i, empty: fate.empty };
					}
					write(bytes);
				}
				return { whole: chunks.length, empty: true };
			});
			// a request of its own
			if (found.whole < chunks.length)
				await inOrder(() => {
					dirty = false;
				});
			return found;
		},
		addTakingOut: () => undefined,
		close: async () => undefined,
	};
	const agent = {
		call: (name: string, ...args: readonly (bigint | number | Uint8Array)[]) =>
			inOrder(() => {
				if (name === "lseek") position = Number(args[1]);
				return 7n;
			}),
	} as unknown as Agent;
	return { pipe, agent };
}

describe("pages poured through a pipe", () => {
	it("are all in the file, in order, whatever fails on the way and whatever is under way then", async () => {
		const fate = fc.record({ whole: fc.nat({ max: 9 }), bytes: fc.nat({ max: 3 * PAGE }), empty: fc.boolean() });
		let files = 0;
		await fc.assert(
			fc.asyncProperty(
				fc.integer({ min: 1, max: 60 }),
				fc.integer({ min: 1, max: 3 }),
				fc.array(fate, { maxLength: 12 }),
				fc.option(fc.tuple(fc.nat({ max: 50 }), fc.integer({ min: 1, max: 5 })), { nil: undefined }),
				async (pages, room, fates, hidden) => {
					const memory = memoryOf(pages);
					const path = join(directory, `${files++}`);
					const fd = openSync(path, "wx+");
					try {
						ftruncateSync(fd, 0);
						const { pipe, agent } = pipeTo(fd, memory, room * PAGE, fates);
						const source = {
							...{ name: "memory", size: BigInt(memory.length), close: () => {} },
							read: (offset: bigint, length: number) => memory.subarray(Number(offset), Number(offset) + length),
						};
						const unreadable =
							hidden === undefined
								? []
								: [
										{
											start: address(BigInt(hidden[0] * PAGE)),
											end: address(BigInt((hidden[0] + hidden[1]) * PAGE)),
										},
									];
						const told: bigint[] = [];
						await pourPages(agent, { pipe, unreadable }, [extent(source, 0n, BigInt(memory.length))], {
							fd,
							name: path,
							progress: (bytes) => void told.push(bytes),
							signal: undefined,
						});
						expect(readFileSync(path).equals(memory)).toBe(true);
						expect(told.reduce((sum, bytes) => sum + bytes, 0n)).toBe(BigInt(memory.length));
					} finally {
						closeSync(fd);
						rmSync(path);
					}
				},
			),
		);
	});
});
