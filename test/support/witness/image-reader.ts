import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

/**
 * Takes CRIU's images apart by hand, as the witness of what was written: nothing here comes from src/. Field numbers are the
 * caller's to know. Whatever is malformed throws.
 */
export interface Message {
	/** Field numbers in the order of the wire, repetitions included. */
	readonly fields: readonly number[];
	has(field: number): boolean;
	/** Every value of a field: numbers of varints, bytes of the rest. */
	values(field: number): readonly (bigint | Buffer)[];
	/** The value of a varint field that must be there. */
	number(field: number): bigint;
	/** Packed or not. */
	numbers(field: number): bigint[];
	bytes(field: number): Buffer;
	text(field: number): string;
	message(field: number): Message;
	messages(field: number): Message[];
}

type Value = bigint | Buffer;

export function messageOf(bytes: Buffer): Message {
	const found: { readonly field: number; readonly value: Value }[] = [];
	const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
	let at = 0;
	const varint = (): bigint => {
		let value = 0n;
		for (let shift = 0n; shift < 70n; shift += 7n) {
			const byte = BigInt(view.getUint8(at++));
			value |= (byte & 0x7fn) << shift;
			if (byte < 0x80n) return BigInt.asUintN(64, value);
		}
		throw new RangeError("a varint without end");
	};
	const next = (type: number): Value => {
		if (type === 0) return varint();
		if (type === 2) {
			const length = Number(varint());
			at += length;
			if (at > bytes.length) throw new RangeError("a field runs past the end");
			return bytes.subarray(at - length, at);
		}
		if (type !== 1) throw new RangeError(`wire type ${type}`);
		at += 8;
		return view.getBigUint64(at - 8, true);
	};
	while (at < bytes.length) {
		const tag = Number(varint());
		found.push({ field: tag >> 3, value: next(tag & 7) });
	}
	const all = (field: number): Value[] => found.filter((it) => it.field === field).map(({ value }) => value);
	const last = (field: number): Value => all(field).at(-1) ?? fail(`no field ${field}`);
	const asBytes = (value: Value): Buffer => (typeof value === "bigint" ? fail("a number, expected bytes") : value);
	const message: Message = {
		fields: found.map(({ field }) => field),
		has: (field) => all(field).length > 0,
		values: all,
		number: (field) => {
			const value = last(field);
			return typeof value === "bigint" ? value : fail(`field ${field} is no number`);
		},
		numbers: (field) => all(field).flatMap((value) => (typeof value === "bigint" ? value : unpacked(value))),
		bytes: (field) => asBytes(last(field)),
		text: (field) => asBytes(last(field)).toString(),
		message: (field) => messageOf(asBytes(last(field))),
		messages: (field) => all(field).map((value) => messageOf(asBytes(value))),
	};
	return message;
}

const unpacked = (bytes: Buffer): bigint[] => {
	// each element as if it were field 1
	const ends = [...bytes.keys()].filter((i) => (bytes[i] ?? 0) < 0x80).map((i) => i + 1);
	return ends.map((end, i) =>
		messageOf(Buffer.concat([Buffer.of(8), bytes.subarray(i === 0 ? 0 : ends[i - 1], end)])).number(1),
	);
};

const fail = (what: string): never => {
	throw new RangeError(what);
};

/** The magic of a kind of image, by the name of the file (criu-4.2, criu/include/magic.h). */
const magics: readonly (readonly [RegExp, number])[] = [
	[/^pstree\.img$/, 0x50273030],
	[/^core-\d+\.img$/, 0x55053847],
	[/^ids-\d+\.img$/, 0x54432030],
	[/^mm-\d+\.img$/, 0x57492820],
	[/^fs-\d+\.img$/, 0x51403912],
	[/^pagemap-(shmem-)?\d+\.img$/, 0x56084025],
	[/^fdinfo-\d+\.img$/, 0x56213732],
	[/^files\.img$/, 0x56303138],
	[/^memfd\.img$/, 0x48453499],
	[/^timens-\d+\.img$/, 0x43114433],
	[/^remap-fpath\.img$/, 0x59133954],
	[/^inventory\.img$/, 0x58313116],
];
const COMMON = 0x54564319;

/** A directory of images, read whole. */
export interface ReadImages {
	readonly path: string;
	readonly names: readonly string[];
	raw(name: string): Buffer;
	/** The records of an image without payloads behind them. */
	records(name: string): Message[];
	/** Address (or offset in the object) → page, for what a pagemap says lies in its pages file; all of that and no more. */
	pages(pagemap: string): Map<bigint, Buffer>;
}

export function readImages(path: string): ReadImages {
	const raw = (name: string): Buffer => readFileSync(join(path, name));
	const records = (name: string): Message[] => {
		const bytes = raw(name);
		const magic = magics.find(([pattern]) => pattern.test(name))?.[1] ?? fail(`no magic for ${name}`);
		const expected = name === "inventory.img" ? [magic] : [COMMON, magic];
		for (const [i, word] of expected.entries())
			if (bytes.readUInt32LE(4 * i) !== word) fail(`${name}: magic ${bytes.readUInt32LE(4 * i).toString(16)}`);
		const found: Message[] = [];
		for (let at = 4 * expected.length; at < bytes.length; ) {
			const length = bytes.readUInt32LE(at);
			if (at + 4 + length > bytes.length) fail(`${name}: a record runs past the end`);
			found.push(messageOf(bytes.subarray(at + 4, at + 4 + length)));
			at += 4 + length;
		}
		return found;
	};
	const pages = (pagemap: string): Map<bigint, Buffer> => {
		const [head, ...entries] = records(pagemap);
		const bytes = raw(`pages-${head?.number(1)}.img`);
		const found = new Map<bigint, Buffer>();
		let at = 0;
		let end = 0n;
		for (const entry of entries) {
			const start = entry.number(1);
			// CRIU 4.2 counts in field 5, 3.x in field 2; without flags pages are present
			const count = entry.has(5) ? entry.number(5) : entry.number(2);
			if (start < end) fail(`${pagemap}: entries overlap or are not sorted`);
			end = start + count * 4096n;
			if (entry.has(4) && (entry.number(4) & 4n) === 0n) continue;
			for (let page = start; page < end; page += 4096n, at += 4096) found.set(page, bytes.subarray(at, at + 4096));
		}
		if (at !== bytes.length) fail(`${pagemap} places ${at} bytes, its pages file has ${bytes.length}`);
		return found;
	};
	return { path, names: readdirSync(path).sort(), raw, records, pages };
}
