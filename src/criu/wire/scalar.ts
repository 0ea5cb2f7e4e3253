import { bytesFromText } from "../../bytes/text.ts";
import type { Scalar } from "./shape.ts";

/** 64 bits as protobufjs hands them over: two signed halves. */
export interface Halves {
	readonly low: number;
	readonly high: number;
}

/** The part of protobufjs' Writer that scalars need. `L` is its type for 64 bits. */
export interface ScalarWriter<L> {
	uint32(value: number): unknown;
	int32(value: number): unknown;
	sint32(value: number): unknown;
	bool(value: boolean): unknown;
	bytes(value: Uint8Array): unknown;
	uint64(value: L): unknown;
	fixed64(value: L): unknown;
}

type Numeric = Exclude<Scalar, "string" | "bytes">;

/** The value of 64 bits in a field of that type; `undefined` when the field cannot hold it. */
export function readNumber(type: Numeric, { low, high }: Halves): number | bigint | boolean | undefined {
	switch (type) {
		case "uint32":
			return high === 0 ? low >>> 0 : undefined;
		case "int32":
			return high === low >> 31 ? low : undefined;
		case "sint32":
			return high === 0 ? (low >>> 1) ^ -(low & 1) : undefined;
		case "bool":
			return high === 0 && low >>> 0 < 2 ? low === 1 : undefined;
		case "int64":
			return BigInt.asIntN(64, join(low, high));
		case "sint64":
			return (join(low, high) >> 1n) ^ -(join(low, high) & 1n);
		default:
			return join(low, high);
	}
}

/** Writes a scalar without its tag; false, and nothing written, when it is not one of that type. */
export function writeScalar<L>(
	writer: ScalarWriter<L>,
	long: (low: number, high: number) => L,
	type: Scalar,
	value: unknown,
): boolean {
	const split = (it: bigint): L => long(Number(BigInt.asIntN(32, it)), Number(BigInt.asIntN(32, it >> 32n)));
	switch (type) {
		case "uint32":
			return within(value, 0, 0xffff_ffff) && done(writer.uint32(value));
		case "int32":
			return within(value, -0x8000_0000, 0x7fff_ffff) && done(writer.int32(value));
		case "sint32":
			return within(value, -0x8000_0000, 0x7fff_ffff) && done(writer.sint32(value));
		case "uint64":
			return isUnsigned(value) && done(writer.uint64(split(value)));
		case "fixed64":
			return isUnsigned(value) && done(writer.fixed64(split(value)));
		case "int64":
			return isSigned(value) && done(writer.uint64(split(value)));
		case "sint64":
			return isSigned(value) && done(writer.uint64(split((value << 1n) ^ (value >> 63n))));
		case "bool":
			return typeof value === "boolean" && done(writer.bool(value));
		case "string":
			return typeof value === "string" && done(writer.bytes(bytesFromText(value)));
		case "bytes":
			return value instanceof Uint8Array && done(writer.bytes(value));
	}
}

/** What a field of that type holds, in words. */
export const holds: Readonly<Record<Scalar, string>> = {
	uint32: "a number from 0 to 2^32-1",
	int32: "a number from -2^31 to 2^31-1",
	sint32: "a number from -2^31 to 2^31-1",
	uint64: "a bigint from 0 to 2^64-1",
	fixed64: "a bigint from 0 to 2^64-1",
	int64: "a bigint from -2^63 to 2^63-1",
	sint64: "a bigint from -2^63 to 2^63-1",
	bool: "0 or 1",
	string: "text",
	bytes: "bytes",
};

const join = (low: number, high: number): bigint =>
	high === 0 ? BigInt(low >>> 0) : (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0);

const within = (value: unknown, least: number, most: number): value is number =>
	Number.isInteger(value) && (value as number) >= least && (value as number) <= most;

const isUnsigned = (value: unknown): value is bigint =>
	typeof value === "bigint" && BigInt.asUintN(64, value) === value;

const isSigned = (value: unknown): value is bigint => typeof value === "bigint" && BigInt.asIntN(64, value) === value;

const done = (_: unknown): true => true;
