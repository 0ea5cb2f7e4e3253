import { fileOffset, PAGE_SIZE } from "../bytes/address.ts";
import type { FileRange } from "../bytes/range.ts";
import type { ByteSource } from "../bytes/source.ts";
import { holesOf } from "../host/holes.ts";

/** Where a core has only zeros: in its file's holes, or, where it has none, as pages of zeros. */
export async function zeroRangesOf(source: ByteSource): Promise<readonly FileRange[]> {
	const holes = await holesOf(source);
	return holes.length > 0 ? holes : zeroRunsIn(source);
}

/** Below this the zeros cost no more than the look at them. */
const WORTH_LOOKING = 16n << 20n;

/** Pages that are looked at first, evenly over the file, and how many zeros among them make a look at all of them worth while. */
const SAMPLES = 512n;
const WORTH_SCANNING = 16;

const PIECE = 4n << 20n;

const page = Number(PAGE_SIZE);
const zeros = Buffer.alloc(page);

/**
 * Runs of whole pages of zeros in a file without holes. gdb writes cores so, and so does whoever copies one: memory that the
 * dead process never touched would become pages of zeros, many times what it had. Real data costs a few hundred reads.
 */
export function zeroRunsIn(source: ByteSource): FileRange[] {
	const pages = source.size / PAGE_SIZE;
	if (source.size < WORTH_LOOKING) return [];
	let found = 0;
	for (let i = 0n; i < SAMPLES; i++) {
		const bytes = source.read(fileOffset(((i * pages) / SAMPLES) * PAGE_SIZE), page);
		if (bytes !== undefined && isZero(bytes, 0)) found++;
	}
	return found < WORTH_SCANNING ? [] : runsOf(source);
}

function runsOf(source: ByteSource): FileRange[] {
	const runs: FileRange[] = [];
	let open: bigint | undefined;
	const close = (at: bigint): void => {
		if (open !== undefined) runs.push({ start: fileOffset(open), end: fileOffset(at) });
		open = undefined;
	};
	const whole = source.size - (source.size % PAGE_SIZE);
	for (let at = 0n; at < whole; at += PIECE) {
		const bytes = source.read(fileOffset(at), Number(whole - at < PIECE ? whole - at : PIECE));
		if (bytes === undefined) break;
		for (let offset = 0; offset < bytes.length; offset += page) {
			if (isZero(bytes, offset)) open ??= at + BigInt(offset);
			else close(at + BigInt(offset));
		}
	}
	close(whole);
	return runs;
}

/** Most pages that are not zeros say so in their first word. */
const isZero = (bytes: Buffer, at: number): boolean =>
	bytes.readInt32LE(at) === 0 && bytes.compare(zeros, 0, page, at, at + page) === 0;
