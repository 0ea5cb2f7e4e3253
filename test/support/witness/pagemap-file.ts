import { readFileSync } from "node:fs";
import { join } from "node:path";

/** An entry as it lies in the file, by field number, so that the test says what it thinks of each. */
export type RawEntry = Readonly<Record<number, bigint>>;

/** Takes a pagemap image apart by hand: magics, then records of nothing but varints. */
export function readPagemap(
	directory: string,
	name: string,
): { readonly head: RawEntry; readonly entries: RawEntry[] } {
	const bytes = readFileSync(join(directory, name));
	if (bytes.readUInt32LE(0) !== 0x54564319 || bytes.readUInt32LE(4) !== 0x56084025) throw new Error("no pagemap");
	const records: RawEntry[] = [];
	for (let at = 8; at < bytes.length; ) {
		const length = bytes.readUInt32LE(at);
		records.push(fieldsOf(bytes.subarray(at + 4, at + 4 + length)));
		at += 4 + length;
		if (at > bytes.length) throw new Error("a record runs past the end");
	}
	const [head, ...entries] = records;
	if (head === undefined) throw new Error("no head");
	return { head, entries };
}

function fieldsOf(bytes: Buffer): RawEntry {
	const fields: Record<number, bigint> = {};
	let at = 0;
	const varint = (): bigint => {
		let value = 0n;
		for (let shift = 0n; ; shift += 7n) {
			const byte = BigInt(bytes[at++] ?? 0);
			value |= (byte & 0x7fn) << shift;
			if (byte < 0x80n) return value;
		}
	};
	while (at < bytes.length) {
		const tag = varint();
		if ((tag & 7n) !== 0n) throw new Error("not a varint");
		fields[Number(tag >> 3n)] = varint();
	}
	return fields;
}

/** Every page that the two files hold, by address; and that they hold nothing else. */
export function readPages(directory: string, pagemap: string, pages: string): Map<bigint, Buffer> {
	const bytes = readFileSync(join(directory, pages));
	const found = new Map<bigint, Buffer>();
	let at = 0;
	let end = 0n;
	for (const entry of readPagemap(directory, pagemap).entries) {
		const start = entry[1] ?? 0n;
		const count = entry[5] ?? 0n;
		if (entry[2] !== count) throw new Error(`compat_nr_pages ${entry[2]}, nr_pages ${count}`);
		if (start < end) throw new Error("not ascending");
		for (let i = 0n; i < count; i++, at += 4096) found.set(start + i * 4096n, bytes.subarray(at, at + 4096));
		end = start + count * 4096n;
	}
	if (at !== bytes.length) throw new Error(`${bytes.length} bytes of pages, expected ${at}`);
	return found;
}
