import fc from "fast-check";
import { delimited, framed, number } from "../witness/wire.ts";

/*
 * Images that are whole as far as their framing goes, and hold other numbers than they should: what no checksum and no
 * length would tell. Fields are found by the wire format alone.
 */

type Field =
	| { readonly id: number; readonly kind: "number"; readonly value: bigint }
	| { readonly id: number; readonly kind: "bytes"; readonly bytes: readonly number[] }
	| { readonly id: number; readonly kind: "fields"; readonly fields: readonly Field[] }
	/** Of a fixed size; kept as it is. */
	| { readonly id: number; readonly kind: "other"; readonly raw: readonly number[] };

function varint(bytes: Buffer, from: number): { value: bigint; next: number } | undefined {
	let value = 0n;
	for (let i = 0; i < 10; i++) {
		const byte = bytes[from + i];
		if (byte === undefined) return undefined;
		value |= BigInt(byte & 127) << BigInt(7 * i);
		if (byte < 128) return { value: BigInt.asUintN(64, value), next: from + i + 1 };
	}
	return undefined;
}

/** The fields of a message, or nothing where it is none. */
function parse(bytes: Buffer, depth = 0): Field[] | undefined {
	const fields: Field[] = [];
	for (let at = 0; at < bytes.length; ) {
		const tag = varint(bytes, at);
		if (tag === undefined) return undefined;
		const [id, type] = [Number(tag.value >> 3n), Number(tag.value & 7n)];
		if (id === 0 || id > 100) return undefined;
		if (type === 0) {
			const found = varint(bytes, tag.next);
			if (found === undefined) return undefined;
			fields.push({ id, kind: "number", value: found.value });
			at = found.next;
		} else if (type === 2) {
			const length = varint(bytes, tag.next);
			if (length === undefined || length.next + Number(length.value) > bytes.length) return undefined;
			const inner = bytes.subarray(length.next, length.next + Number(length.value));
			const inside = depth < 6 && inner.length > 1 ? parse(inner, depth + 1) : undefined;
			fields.push(
				inside === undefined ? { id, kind: "bytes", bytes: [...inner] } : { id, kind: "fields", fields: inside },
			);
			at = length.next + inner.length;
		} else if (type === 1 || type === 5) {
			const end = tag.next + (type === 1 ? 8 : 4);
			if (end > bytes.length) return undefined;
			fields.push({ id, kind: "other", raw: [...bytes.subarray(at, end)] });
			at = end;
		} else return undefined;
	}
	return fields;
}

const write = (fields: readonly Field[]): number[] =>
	fields.flatMap((field) => {
		if (field.kind === "number") return number(field.id, field.value);
		if (field.kind === "other") return [...field.raw];
		return delimited(field.id, field.kind === "bytes" ? field.bytes : write(field.fields));
	});

/** An image's magic words and the messages of its records; nothing for one that holds more than records. */
export function recordsIn(image: Buffer): { readonly magic: Buffer; readonly records: Field[][] } | undefined {
	const start = image.readUInt32LE(0) === 0x58313116 ? 4 : 8;
	const records: Field[][] = [];
	for (let at = start; at < image.length; ) {
		const length = at + 4 <= image.length ? image.readUInt32LE(at) : Number.POSITIVE_INFINITY;
		if (at + 4 + length > image.length) return undefined;
		const fields = parse(image.subarray(at + 4, at + 4 + length));
		if (fields === undefined) return undefined;
		records.push(fields);
		at += 4 + length;
	}
	return { magic: image.subarray(0, start), records };
}

const odd = [
	...[0n, 1n, 2n, 3n, 7n, 4095n, 4096n, 65535n, 0x7fff_ffffn, 0x8000_0000n, 0xffff_ffffn, 1n << 32n, 1n << 40n],
	...[0x7fff_ffff_f000n, (1n << 47n) - 1n, (1n << 52n) + 4096n, (1n << 63n) - 1n, 1n << 63n, (1n << 64n) - 4096n],
	(1n << 64n) - 1n,
];

interface Edit {
	/** Which of all the fields, counted through. */
	readonly pick: number;
	readonly how: "odd" | "near" | "drop" | "twice" | "bytes";
	readonly value: bigint;
}

export const edits: fc.Arbitrary<readonly Edit[]> = fc.array(
	fc.record({
		pick: fc.nat(1 << 20),
		how: fc.constantFrom<Edit["how"]>("odd", "odd", "odd", "near", "near", "drop", "twice", "bytes"),
		value: fc.constantFrom(...odd),
	}),
	{ minLength: 1, maxLength: 4 },
);

const count = (fields: readonly Field[]): number =>
	fields.reduce((sum, field) => sum + 1 + (field.kind === "fields" ? count(field.fields) : 0), 0);

function editAt(fields: readonly Field[], index: number, edit: Edit): Field[] {
	let left = index;
	return fields.flatMap((field): Field[] => {
		const own = left;
		left -= 1 + (field.kind === "fields" ? count(field.fields) : 0);
		if (own < 0 || (left >= 0 && own !== 0)) return [field];
		if (own > 0 && field.kind === "fields") return [{ ...field, fields: editAt(field.fields, own - 1, edit) }];
		if (own !== 0) return [field];
		if (edit.how === "drop") return [];
		if (edit.how === "twice") return [field, field];
		if (field.kind === "number") {
			const near = BigInt.asUintN(64, field.value + BigInt.asIntN(64, edit.value));
			return [{ ...field, value: edit.how === "near" ? near : edit.value }];
		}
		const bytes = Array.from({ length: Number(edit.value % 300n) }, (_, i) => (i * 37) & 255);
		return edit.how === "bytes" ? [{ id: field.id, kind: "bytes", bytes }] : [field];
	});
}

/** An image with other fields. */
export function damaged(image: Buffer, changes: readonly Edit[]): Buffer {
	const parsed = recordsIn(image);
	if (parsed === undefined) return image;
	let { records } = parsed;
	for (const edit of changes) {
		if (records.length === 0) break;
		const record = edit.pick % records.length;
		const chosen = records[record] ?? [];
		const total = count(chosen);
		const index = total === 0 ? 0 : Math.floor(edit.pick / records.length) % total;
		const other = editAt(chosen, index, edit);
		if (edit.how === "twice" && index === 0) records = [...records.slice(0, record), chosen, ...records.slice(record)];
		else records = records.map((fields, i) => (i === record ? other : fields));
	}
	return Buffer.concat([parsed.magic, Buffer.from(records.flatMap((fields) => framed(write(fields))))]);
}
