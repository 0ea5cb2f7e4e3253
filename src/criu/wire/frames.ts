import { fileOffset, hex } from "../../bytes/address.ts";
import { u32, viewOf } from "../../bytes/layout.ts";
import type { ByteSource } from "../../bytes/source.ts";
import { refuse } from "../../errors.ts";

/** Most bytes of one record. CRIU has no limit; a process with a million mappings needs 60 MB. */
const MAX_RECORD = 1 << 26;

/** Most bytes of all records of an image, what lies behind them not counted. */
const MAX_RECORDS_BYTES = 1 << 29;

/** Records that any image may have; in the longest of them each is a run of pages. */
export const USUAL_RECORDS = 1 << 19;

const WINDOW = 1 << 16;

/** Reads an image from front to back: words, records (length, then bytes), and what is skipped between them. */
export interface Frames {
	/** Bytes read or skipped so far. */
	readonly at: bigint;
	readonly left: bigint;
	word(): number;
	/** The bytes of the next record, valid until the next call. */
	record(): Buffer;
	/** Passes over bytes that belong to the record before. */
	skip(bytes: bigint): void;
}

/**
 * Reads through a window, so that only one record at a time is in memory, and that no larger than the file.
 *
 * @param from Where the first record is.
 * @param most Records that there may be.
 *
 * The methods throw NecromancerError: ERR_IMAGE_TRUNCATED where the file ends too early, ERR_IMAGE_CORRUPT for records
 * of absurd size or number.
 */
export function frames(source: ByteSource, from = 0n, most = USUAL_RECORDS): Frames {
	let at = from;
	let start = from;
	let window: Buffer = Buffer.alloc(0);
	let records = 0;
	let recordBytes = 0;
	const left = (): bigint => source.size - at;

	const truncated = (finding: string, expectation: string): never =>
		refuse("ERR_IMAGE_TRUNCATED", { subject: source.name, finding, expectation, remedy: "copy or dump it again" });
	const corrupt = (finding: string, expectation: string): never =>
		refuse("ERR_IMAGE_CORRUPT", { subject: source.name, finding, expectation });

	/** `length` is no more than what is left. */
	const take = (length: number): Buffer => {
		if (at + BigInt(length) > start + BigInt(window.length)) {
			const wanted = Math.max(length, left() < BigInt(WINDOW) ? Number(left()) : WINDOW);
			start = at;
			window =
				source.read(fileOffset(at), wanted) ?? truncated(`shrank below ${source.size} bytes`, "expected it to stay");
		}
		const from = Number(at - start);
		at += BigInt(length);
		return window.subarray(from, from + length);
	};
	const word = (): number => u32.read(viewOf(take(4)), 0);

	return {
		get at() {
			return at;
		},
		get left() {
			return left();
		},
		word: () => (left() < 4n ? truncated(`ends at ${hex(source.size)}`, "inside its header") : word()),
		record: () => {
			const where = `the record at ${hex(at)}`;
			if (left() < 4n) truncated(`ends at ${hex(source.size)}`, `inside the length of ${where}`);
			const length = word();
			if (BigInt(length) > left()) truncated(`${where} is ${length} bytes`, `but only ${left()} are left`);
			if (length > MAX_RECORD) corrupt(`${where} is ${length} bytes`, `expected at most ${MAX_RECORD}`);
			recordBytes += length;
			if (recordBytes > MAX_RECORDS_BYTES)
				corrupt("the records are too long", `expected at most ${MAX_RECORDS_BYTES} bytes`);
			if (++records > most) corrupt("holds too many records", `expected at most ${most}`);
			return take(length);
		},
		skip: (bytes) => {
			if (bytes > left()) truncated(`${bytes} bytes should lie at ${hex(at)}`, `but only ${left()} are left`);
			at += bytes;
		},
	};
}
