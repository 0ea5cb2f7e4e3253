/**
 * C structures declared once. A layout is a list of named fields; size, offsets, alignment, reading and writing all
 * follow from it by the System V x86-64 rules (natural alignment, size rounded up to the widest member).
 */

/** How one value lies in memory, little-endian. `T` is `number` up to 32 bits and `bigint` for 64. */
export interface Codec<T> {
	/** Bytes. */
	readonly size: number;
	/** Bytes, a power of two. */
	readonly align: number;
	read(view: DataView, at: number): T;
	write(view: DataView, at: number, value: T): void;
}

export type Value<C> = C extends Codec<infer T> ? T : never;

type FieldsOf<F> = { readonly [K in keyof F]: Value<F[K]> };

/** A structure: a codec that also knows where its members lie. */
export interface Layout<F> extends Codec<FieldsOf<F>> {
	readonly name: string;
	readonly fields: F;
	offsetOf(field: keyof F & string): number;
	/** Reads from the start of `bytes`, which must hold at least `size` bytes. */
	decode(bytes: Uint8Array): FieldsOf<F>;
	/** A new array of exactly `size` bytes; padding is zero. */
	encode(value: FieldsOf<F>): Uint8Array;
}

/** The record type that a layout reads. */
export type Struct<L> = L extends Layout<infer F> ? FieldsOf<F> : never;

export const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

export const u8: Codec<number> = {
	size: 1,
	align: 1,
	read: (v, at) => v.getUint8(at),
	write: (v, at, x) => v.setUint8(at, x),
};
export const u16: Codec<number> = {
	size: 2,
	align: 2,
	read: (v, at) => v.getUint16(at, true),
	write: (v, at, x) => v.setUint16(at, x, true),
};
export const i16: Codec<number> = {
	size: 2,
	align: 2,
	read: (v, at) => v.getInt16(at, true),
	write: (v, at, x) => v.setInt16(at, x, true),
};
export const u32: Codec<number> = {
	size: 4,
	align: 4,
	read: (v, at) => v.getUint32(at, true),
	write: (v, at, x) => v.setUint32(at, x, true),
};
export const i32: Codec<number> = {
	size: 4,
	align: 4,
	read: (v, at) => v.getInt32(at, true),
	write: (v, at, x) => v.setInt32(at, x, true),
};
export const u64: Codec<bigint> = {
	size: 8,
	align: 8,
	read: (v, at) => v.getBigUint64(at, true),
	write: (v, at, x) => v.setBigUint64(at, x, true),
};
export const i64: Codec<bigint> = {
	size: 8,
	align: 8,
	read: (v, at) => v.getBigInt64(at, true),
	write: (v, at, x) => v.setBigInt64(at, x, true),
};

/** 64 bits in memory. */
export function u64Bytes(value: bigint): Uint8Array {
	const bytes = new Uint8Array(u64.size);
	u64.write(viewOf(bytes), 0, value);
	return bytes;
}

/** An int in memory. */
export function i32Bytes(value: number): Uint8Array {
	const bytes = new Uint8Array(i32.size);
	i32.write(viewOf(bytes), 0, value);
	return bytes;
}

/** `count` values in a row. Writing fewer leaves zeros. */
export const array = <T>(item: Codec<T>, count: number): Codec<readonly T[]> => ({
	size: item.size * count,
	align: item.align,
	read: (view, at) => Array.from({ length: count }, (_, i) => item.read(view, at + i * item.size)),
	write: (view, at, values) => {
		if (values.length > count) throw new RangeError(`${values.length} values for an array of ${count}`);
		for (const [i, value] of values.entries()) item.write(view, at + i * item.size, value);
	},
});

/** `count` raw bytes, copied both ways. */
export const bytes = (count: number): Codec<Uint8Array> => ({
	size: count,
	align: 1,
	read: (view, at) => new Uint8Array(view.buffer, view.byteOffset + at, count).slice(),
	write: (view, at, value) => {
		if (value.length > count) throw new RangeError(`${value.length} bytes for a field of ${count}`);
		new Uint8Array(view.buffer, view.byteOffset + at, count).set(value);
	},
});

/** A `char[count]` that ends at the first NUL, or at its end. Bytes are Latin-1, so that any name survives. */
export const text = (count: number): Codec<string> => ({
	size: count,
	align: 1,
	read: (view, at) => {
		const raw = Buffer.from(view.buffer, view.byteOffset + at, count);
		const end = raw.indexOf(0);
		return raw.toString("latin1", 0, end < 0 ? count : end);
	},
	write: (view, at, value) => {
		if (value.length > count) throw new RangeError(`${value.length} characters for a field of ${count}`);
		Buffer.from(view.buffer, view.byteOffset + at, count).write(value, "latin1");
	},
});

/** Declares a structure. Field order is memory order; padding is implied. */
export function layout<
	const F extends { readonly [K in keyof F]: Codec<never> | Codec<F[K] extends Codec<infer T> ? T : never> },
>(name: string, fields: F): Layout<F> {
	const members: { readonly field: string; readonly codec: Codec<unknown>; readonly offset: number }[] = [];
	let at = 0;
	let align = 1;
	for (const [field, codec] of entries(fields)) {
		const offset = roundUp(at, codec.align);
		members.push({ field, codec, offset });
		at = offset + codec.size;
		align = Math.max(align, codec.align);
	}
	const size = roundUp(at, align);
	const offsets = new Map(members.map(({ field, offset }) => [field, offset]));
	const self: Layout<F> = {
		name,
		fields,
		size,
		align,
		offsetOf: (field) => {
			const offset = offsets.get(field);
			if (offset === undefined) throw new RangeError(`${name} has no member ${field}`);
			return offset;
		},
		read: (view, base) => {
			const record: Record<string, unknown> = {};
			for (const { field, codec, offset } of members) record[field] = codec.read(view, base + offset);
			return record as FieldsOf<F>;
		},
		write: (view, base, value) => {
			const record = value as Readonly<Record<string, unknown>>;
			for (const { field, codec, offset } of members) codec.write(view, base + offset, record[field]);
		},
		decode: (raw) => self.read(viewOf(raw), 0),
		encode: (value) => {
			const raw = new Uint8Array(size);
			self.write(viewOf(raw), 0, value);
			return raw;
		},
	};
	return self;
}

const roundUp = (value: number, align: number): number => Math.ceil(value / align) * align;

const entries = (fields: object): [string, Codec<unknown>][] => Object.entries(fields) as [string, Codec<unknown>][];
