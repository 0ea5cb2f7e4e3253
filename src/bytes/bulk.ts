import { read, writeSync, writevSync } from "node:fs";
import { type FileOffset, fileOffset } from "./address.ts";
import type { Extent } from "./extent.ts";
import { attemptWrite } from "./sink.ts";
import { attempt, type ByteSource } from "./source.ts";

/*
 * For those who move gigabytes.
 */

/**
 * Fills `into` from `offset`, off the main thread. The source must hold that many bytes.
 *
 * @throws NecromancerError ERR_IO when the system refuses; what `short` throws, told where the source ends.
 */
export async function readInto(
	source: ByteSource,
	offset: FileOffset,
	into: Buffer,
	short: (end: FileOffset) => never,
): Promise<void> {
	const { fd } = source;
	// An offset past 2^63 is nothing that read(2) could be asked for.
	if (offset + BigInt(into.length) > source.size) return short(fileOffset(source.size));
	if (fd === undefined) {
		const bytes = source.read(offset, into.length);
		if (bytes === undefined) return short(offset);
		bytes.copy(into);
		return;
	}
	for (let done = 0; done < into.length; ) {
		const count = await readOnce(source.name, fd, into, done, offset + BigInt(done));
		if (count === 0) short(fileOffset(offset + BigInt(done)));
		done += count;
	}
}

/**
 * Fills `into` with the bytes of an extent, which are as many, zeros among them.
 *
 * @throws NecromancerError ERR_IO when the system refuses; what `short` throws, told where the source ends.
 */
export async function readExtent(
	{ source, offset, available }: Extent,
	into: Buffer,
	short: (end: FileOffset) => never,
): Promise<void> {
	const own = Number(available);
	if (own > 0) await readInto(source, offset, into.subarray(0, own), short);
	into.fill(0, own);
}

/**
 * Writes all of `parts`, in order, from `position` on. It is not asynchronous: the main thread, which has looked at the
 * bytes, has them in its cache, and while it writes the next are read. Handing the write to another thread costs more
 * than it saves (measured: a fifth).
 *
 * @throws NecromancerError ERR_IO.
 */
export function writeFrom(fd: number, name: string, parts: readonly Buffer[], position: number): void {
	let at = position;
	for (let next = 0; next < parts.length; next += MAX_PARTS) {
		for (let left = parts.slice(next, next + MAX_PARTS); left.length > 0; ) {
			const count = attemptWrite(name, () => writeOnce(fd, left, at));
			at += count;
			left = after(left, count);
		}
	}
}

/** IOV_MAX, include/uapi/linux/uio.h. */
const MAX_PARTS = 1024;

function writeOnce(fd: number, parts: readonly Buffer[], at: number): number {
	const [only, ...others] = parts;
	return only !== undefined && others.length === 0
		? writeSync(fd, only, 0, only.length, at)
		: writevSync(fd, parts, at);
}

/** What is left of `parts` when their first `count` bytes are written. */
function after(parts: readonly Buffer[], count: number): Buffer[] {
	let skip = count;
	for (const [i, part] of parts.entries()) {
		if (skip < part.length) return [part.subarray(skip), ...parts.slice(i + 1)];
		skip -= part.length;
	}
	return [];
}

const readOnce = (name: string, fd: number, into: Buffer, at: number, position: bigint): Promise<number> =>
	new Promise((done, fail) => {
		read(fd, into, at, into.length - at, position, (cause, count) => {
			if (cause === null) done(count);
			else fail(caught(name, cause));
		});
	});

/** What `attempt` makes of an error that came another way. */
function caught(name: string, cause: Error): unknown {
	try {
		return attempt(name, () => {
			throw cause;
		});
	} catch (refusal) {
		return refusal;
	}
}
