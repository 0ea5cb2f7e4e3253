import fc from "fast-check";
import { delimited, varint } from "../witness/wire.ts";

/*
 * Images with something else in them than was dumped, without the code under test and without knowing what the fields mean: the
 * wire tells varints, fixed words and bytes apart, and bytes that read as a message are taken for one.
 */

interface Field {
	readonly number: number;
	readonly wire: number;
	value: bigint;
	bytes: Buffer;
	message: Field[] | undefined;
}

const DEEPEST = 6;

/** `undefined` for what is no message. */
function fieldsOf(bytes: Buffer, depth = 0): Field[] | undefined {
	const fields: Field[] = [];
	let at = 0;
	const next = (): bigint | undefined => {
		for (let value = 0n, shift = 0n; at < bytes.length && shift < 70n; shift += 7n) {
			const byte = bytes[at++] ?? 0;
			value |= BigInt(byte & 127) << shift;
			if (byte < 128) return value;
		}
		return undefined;
	};
	while (at < bytes.length) {
		const tag = next() ?? 0n;
		const [number, wire] = [Number(tag >> 3n), Number(tag & 7n)];
		if (number === 0 || number > 500) return undefined;
		const field: Field = { number, wire, value: 0n, bytes: Buffer.alloc(0), message: undefined };
		fields.push(field);
		if (wire === 0) {
			const value = next();
			if (value === undefined) return undefined;
			field.value = value;
			continue;
		}
		const length = wire === 1 ? 8 : wire === 5 ? 4 : wire === 2 ? Number(next() ?? -1n) : -1;
		if (length < 0 || at + length > bytes.length) return undefined;
		field.bytes = bytes.subarray(at, at + length);
		at += length;
		if (wire === 2 && length > 0 && depth < DEEPEST) field.message = fieldsOf(field.bytes, depth + 1);
	}
	return fields;
}

const written = (fields: readonly Field[]): number[] =>
	fields.flatMap(({ number, wire, value, bytes, message }) => {
		if (wire === 0) return [...varint(number << 3), ...varint(value)];
		if (wire === 2) return delimited(number, message === undefined ? [...bytes] : written(message));
		return [...varint((number << 3) | wire), ...bytes];
	});

const allOf = (fields: Field[]): { readonly among: Field[]; readonly field: Field }[] =>
	fields.flatMap((field) => [{ among: fields, field }, ...allOf(field.message ?? [])]);

/** One thing that is done to an image. Places are fractions of what there is. */
export interface Spoiling {
	readonly place: number;
	readonly how: "value" | "without" | "twice" | "bytes" | "cut" | "record without" | "record twice" | "byte";
	readonly value: bigint;
	readonly text: string;
}

const words: readonly bigint[] = [
	...[0n, 1n, 2n, 0xfffn, 0x1000n, 0xffffn, 0x7fff_ffffn, 0x8000_0000n, 0xffff_ffffn, 1n << 32n, 1n << 40n],
	...[
		(1n << 47n) - 4096n,
		1n << 47n,
		(1n << 53n) + 1n,
		(1n << 63n) - 1n,
		1n << 63n,
		(1n << 64n) - 4096n,
		(1n << 64n) - 1n,
	],
];
const texts = [
	"",
	"/etc/passwd",
	"../../etc/passwd",
	"a\u001b[31m\n\0b",
	"/dev/zero",
	"/proc/self/mem",
	"x".repeat(5000),
];

const fraction = fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true });

export const spoilings: fc.Arbitrary<Spoiling> = fc.record({
	place: fraction,
	how: fc.oneof(
		{ weight: 10, arbitrary: fc.constant("value" as const) },
		{
			weight: 4,
			arbitrary: fc.constantFrom("without", "twice", "bytes", "cut", "record without", "record twice", "byte"),
		},
	),
	value: fc.oneof(fc.constantFrom(...words), fc.bigInt({ min: 0n, max: (1n << 64n) - 1n })),
	text: fc.constantFrom(...texts),
});

/** An image of today's framing, spoilt. */
export function spoil(image: Buffer, { place, how, value, text }: Spoiling): Buffer {
	const cut = Math.floor(place * image.length);
	if (how === "cut") return image.subarray(0, cut);
	if (how === "byte") {
		const copy = Buffer.from(image);
		if (copy.length > 0) copy.writeUInt8(Number(value & 255n), cut);
		return copy;
	}
	const records: Field[][] = [];
	let at = 8;
	while (at + 4 <= image.length) {
		const end = at + 4 + image.readUInt32LE(at);
		const fields = end > image.length ? undefined : fieldsOf(image.subarray(at + 4, end));
		if (fields === undefined) break;
		records.push(fields);
		at = end;
	}
	const pick = <T>(list: readonly T[]): T | undefined => list[Math.floor(place * list.length)];
	if (how === "record without" || how === "record twice") {
		const record = Math.floor(place * records.length);
		records.splice(
			record,
			1,
			...(how === "record twice" ? records.slice(record, record + 1).flatMap((it) => [it, it]) : []),
		);
	} else {
		const found = records.flatMap(allOf);
		const fitting = how === "value" ? found.filter(({ field: { wire } }) => wire === 0) : found;
		const { among, field } = pick(fitting) ?? { among: [], field: undefined };
		if (field !== undefined) {
			const i = among.indexOf(field);
			if (how === "without") among.splice(i, 1);
			else if (how === "twice") among.splice(i, 0, field);
			else if (how === "value") field.value = value;
			else Object.assign(field, { bytes: Buffer.from(text), message: undefined });
		}
	}
	const framed = records.map((fields) => {
		const bytes = Buffer.from(written(fields));
		const length = Buffer.alloc(4);
		length.writeUInt32LE(bytes.length);
		return Buffer.concat([length, bytes]);
	});
	return Buffer.concat([image.subarray(0, 8), ...framed, image.subarray(at)]);
}
