/** Protobuf and CRIU's framing by hand, without the code under test. */

export const COMMON = 0x54564319;
export const SERVICE = 0x55105940;

export const varint = (value: bigint | number): number[] => {
	const bits = BigInt.asUintN(64, BigInt(value));
	return bits < 128n ? [Number(bits)] : [Number(bits & 127n) | 128, ...varint(bits >> 7n)];
};

/** A varint field. */
export const number = (field: number, value: bigint | number): number[] => [...varint(field << 3), ...varint(value)];

/** A length-delimited field: bytes, text, a message, or a packed list. */
export const delimited = (field: number, value: readonly number[] | string): number[] => {
	const bytes = typeof value === "string" ? [...Buffer.from(value)] : value;
	return [...varint((field << 3) | 2), ...varint(bytes.length), ...bytes];
};

export const word = (value: number): number[] => [0, 8, 16, 24].map((shift) => (value >>> shift) & 255);

/** A record: its length, then its bytes. */
export const framed = (record: readonly number[]): number[] => [...word(record.length), ...record];

/** An image of today's framing. */
export const imageBytes = (magic: number, ...parts: readonly (readonly number[])[]): Buffer =>
	Buffer.from([...word(COMMON), ...word(magic), ...parts.flat()]);

/** `01 02 ff` as bytes. */
export const bytes = (spaced: string): Uint8Array =>
	Uint8Array.from(spaced.trim().split(/\s+/), (it) => Number.parseInt(it, 16));
