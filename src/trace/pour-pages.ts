import type { Agent } from "../agent/agent.ts";
import { hex } from "../bytes/address.ts";
import { readInto, writeFrom } from "../bytes/bulk.ts";
import type { Range } from "../bytes/range.ts";
import type { ByteSource, PourTarget, SourceRange } from "../bytes/source.ts";
import { refuse } from "../errors.ts";
import { O } from "../linux/open.ts";
import { type Chunk, chunksOf } from "./page-chunks.ts";
import type { PagePipe } from "./page-pipe.ts";

/** Refusals of a pipe in a row after which the rest is copied. */
const MOST_REFUSALS = 8;

/** Bytes of a chunk where there is no pipe. */
const COPIED = 1 << 20;

const SEEK_SET = 0;

/**
 * Appends memory of a stopped process to a new file: by its pipe, and where it may not read the pages itself (PROT_NONE,
 * protection keys), or has no pipe, by copying them.
 *
 * @param memory Offsets are addresses.
 * @param unreadable Mappings without PROT_READ, ascending: what need not be tried.
 * @throws NecromancerError ERR_IO, ERR_PROCESS, ERR_HOST
 */
export async function pourPages(
	agent: Agent,
	{ pipe, memory, unreadable }: { pipe: PagePipe | undefined; memory: ByteSource; unreadable: readonly Range[] },
	ranges: readonly SourceRange[],
	{ fd, name, progress, signal }: PourTarget,
): Promise<void> {
	// a description of its own, whose position goes on by itself
	const ours = Buffer.from(`/proc/${process.pid}/fd/${fd}\0`);
	const file = pipe === undefined ? -1n : await agent.call("open", ours, O.WRONLY | O.CLOEXEC);
	let usable = file >= 0n;
	let refusals = 0;
	let position = 0;
	let reached = 0;
	const buffer = Buffer.allocUnsafeSlow(pipe?.capacity ?? COPIED);

	const copy = async ({ pieces, length }: Chunk): Promise<void> => {
		let at = 0;
		for (const piece of pieces) {
			const part = buffer.subarray(at, at + Number(piece.length));
			await readInto(memory, piece.offset, part, (end) => refuseShort(memory, end));
			at += part.length;
		}
		writeFrom(fd, name, [buffer.subarray(0, length)], position);
		position += length;
		progress?.(BigInt(length));
	};
	const handOver = async (pipe: PagePipe, chunks: readonly Chunk[]): Promise<number> => {
		if (reached !== position) await agent.call("lseek", file, position, SEEK_SET);
		const { whole, empty } = await pipe.handOver(chunks, file);
		const bytes = chunks.slice(0, whole).reduce((sum, { length }) => sum + length, 0);
		position += bytes;
		progress?.(BigInt(bytes));
		// what came through in part is written over
		reached = whole === chunks.length ? position : -1;
		refusals = whole > 0 ? 0 : refusals + 1;
		usable = empty && refusals < MOST_REFUSALS;
		return whole;
	};
	try {
		const row: Chunk[] = [];
		const flush = async (): Promise<void> => {
			while (row.length > 0) {
				signal?.throwIfAborted();
				if (usable && pipe !== undefined) row.splice(0, await handOver(pipe, row));
				const [odd] = row.splice(0, 1);
				if (odd !== undefined) await copy(odd);
			}
		};
		for (const chunk of chunksOf(ranges, buffer.length, unreadable)) {
			if (chunk.direct) row.push(chunk);
			if (!chunk.direct || row.length === (pipe?.rounds ?? 1)) await flush();
			if (!chunk.direct) await copy(chunk);
		}
		await flush();
	} finally {
		if (file >= 0n) await agent.call("close", file);
	}
}

const refuseShort = ({ name }: ByteSource, end: bigint): never =>
	refuse("ERR_IO", {
		subject: name,
		finding: `cannot be read at ${hex(end)}`,
		expectation: "expected the process to keep its memory while it stands still",
	});
