import type { Agent } from "../agent/agent.ts";
import { hex } from "../bytes/address.ts";
import { readExtent, writeFrom } from "../bytes/bulk.ts";
import type { Extent } from "../bytes/extent.ts";
import type { Range } from "../bytes/range.ts";
import type { PourTarget } from "../bytes/source.ts";
import { refuse } from "../errors.ts";
import { SEEK } from "../linux/fcntl.ts";
import { O } from "../linux/open.ts";
import { pathOfLink } from "../proc/links.ts";
import type { HandedOver } from "./hand-over.ts";
import { type Chunk, chunksOf } from "./page-chunks.ts";
import type { PagePipe } from "./page-pipe.ts";

/** Refusals of a pipe in a row after which the rest is copied. */
const MOST_REFUSALS = 8;

/** Bytes of a chunk where there is no pipe. */
const COPIED = 1 << 20;

/**
 * Appends memory of a stopped process to a new file: by its pipe, and where it may not read the pages itself (PROT_NONE,
 * protection keys), or has no pipe, by copying them.
 *
 * @param unreadable Mappings without PROT_READ, ascending: what need not be tried.
 * @param extents Of its memory, ascending: offsets are addresses.
 * @throws NecromancerError ERR_IO, ERR_PROCESS, ERR_HOST
 */
export async function pourPages(
	agent: Agent,
	{ pipe, unreadable }: { pipe: PagePipe | undefined; unreadable: readonly Range[] },
	extents: readonly Extent[],
	{ fd, name, progress, signal }: PourTarget,
): Promise<void> {
	// a description of its own, whose position goes on by itself
	const ours = Buffer.from(`${pathOfLink(process.pid, `fd/${fd}`)}\0`);
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
			await readExtent(piece, part, (end) => refuseShort(piece, end));
			at += part.length;
		}
		writeFrom(fd, name, [buffer.subarray(0, length)], position);
		position += length;
		progress?.(BigInt(length));
	};
	/** Chunks that are under way, and what comes of them. */
	interface Handed {
		readonly chunks: readonly Chunk[];
		readonly handedOver: Promise<HandedOver>;
	}
	const send = (pipe: PagePipe, chunks: readonly Chunk[]): Handed => {
		const handedOver = pipe.handOver(chunks, file);
		handedOver.catch(() => undefined); // met when its turn comes
		return { chunks, handedOver };
	};
	/** Resolves to those that did not come through. */
	const receive = async ({ chunks, handedOver }: Handed): Promise<readonly Chunk[]> => {
		const { whole, empty } = await handedOver;
		const bytes = chunks.slice(0, whole).reduce((sum, { length }) => sum + length, 0);
		position += bytes;
		progress?.(BigInt(bytes));
		// what came through in part is written over
		reached = whole === chunks.length ? position : -1;
		refusals = whole > 0 ? 0 : refusals + 1;
		usable = empty && refusals < MOST_REFUSALS;
		return chunks.slice(whole);
	};
	/** One request after the other, and what does not come through is copied. */
	const carry = async (chunks: readonly Chunk[]): Promise<void> => {
		for (let left = chunks; left.length > 0; ) {
			signal?.throwIfAborted();
			if (usable && pipe !== undefined) {
				if (reached !== position) await agent.call("lseek", file, position, SEEK.SET);
				left = await receive(send(pipe, left));
			}
			const [odd, ...others] = left;
			if (odd !== undefined) await copy(odd);
			left = others;
		}
	};
	let before: Handed | undefined;
	/** Waits for what is under way; where not all came through, `after` is nothing that was written. */
	const settle = async (after?: Handed): Promise<void> => {
		const left = before === undefined ? [] : await receive(before);
		before = left.length === 0 ? after : undefined;
		if (left.length === 0) return;
		// sent into the same pipes: where it left something in them, they are as unusable as if the one before had
		if (after !== undefined && !(await after.handedOver).empty) usable = false;
		await carry(left);
		if (after !== undefined) await carry(after.chunks);
	};
	try {
		let row: Chunk[] = [];
		const flush = async (): Promise<void> => {
			signal?.throwIfAborted();
			const chunks = row;
			row = [];
			if (chunks.length === 0) return;
			if (usable && pipe !== undefined && (before !== undefined || reached === position))
				await settle(send(pipe, chunks));
			else {
				await settle();
				await carry(chunks);
			}
		};
		const most = pipe?.rounds ?? 1;
		for (const chunk of chunksOf(extents, buffer.length, unreadable)) {
			if (chunk.direct) row.push(chunk);
			if (chunk.direct && row.length < most) continue;
			await flush();
			if (chunk.direct) continue;
			await settle();
			await copy(chunk);
		}
		await flush();
		await settle();
	} finally {
		if (file >= 0n) await agent.call("close", file);
	}
}

const refuseShort = ({ source }: Extent, end: bigint): never =>
	refuse("ERR_IO", {
		subject: source.name,
		finding: `cannot be read at ${hex(end)}`,
		expectation: "expected the process to keep its memory while it stands still",
	});
