import protobuf from "protobufjs/minimal.js";
import { PAGE_SIZE } from "../../bytes/address.ts";
import { textFromBytes } from "../../bytes/text.ts";
import { refuse } from "../../errors.ts";
import type { Messages } from "./generated/schema.ts";
import { unknownFields } from "./message.ts";
import { holds, readNumber, writeScalar } from "./scalar.ts";
import { type FieldShape, type MessageName, type MessageShape, shapeOf } from "./shape.ts";

export { unknownFields } from "./message.ts";
export type { MessageName } from "./shape.ts";

/*
 * The only module that imports protobufjs. Its Reader and Writer do the wire; its message decoder is not used, because it
 * loses what must be kept: names that are not UTF-8, the upper half of a 64-bit number in a 32-bit field, the place of
 * unknown fields, the first of two values where one is declared.
 */

/** Deepest nesting of messages; protobufjs and protobuf's own parsers allow the same. */
const MAX_DEPTH = 100;

/**
 * Fields and list elements that may still be read: bounds memory, whatever the bytes say. Objects count for what they take.
 * Whoever reads many records that belong together has one for all of them.
 */
export interface Budget {
	left: number;
	/** What is said where it is used up. */
	readonly whose: string;
	readonly most: number;
	/** Pages that the images can hold: what holds many has many mappings and runs of pages, and much to be said of them. */
	readonly pages: number;
	/** That of what is around it. */
	readonly outer?: Budget;
}

/** Most values of one image, and how many there may be for each page if that is more: a mapping has 14. */
const MAX_VALUES = 1 << 22;
const PER_PAGE = 16;

export function imageBudget(outer?: Budget): Budget {
	const pages = outer?.pages ?? 0;
	const most = Math.max(MAX_VALUES, PER_PAGE * pages);
	return { left: most, most, pages, whose: "the image holds", ...(outer === undefined ? {} : { outer }) };
}

/** Of all images of a directory, each as often as it is read. */
const MAX_DIRECTORY_VALUES = 1 << 24;

/** @param size Bytes of all images of the directory. */
export function directoryBudget(size: bigint): Budget {
	const pages = Number(size / PAGE_SIZE);
	const most = Math.max(MAX_DIRECTORY_VALUES, 4 * PER_PAGE * pages);
	return { left: most, most, pages, whose: "the images of the directory hold" };
}

const PER_MESSAGE = 4;
const PER_UNKNOWN = 16;

type Fields = Record<string, unknown> & { [unknownFields]?: Uint8Array[] };

interface Decoding {
	readonly reader: protobuf.Reader;
	readonly flaw: (finding: string, expectation?: string) => never;
	/** Where the field that is being read starts. */
	at: number;
	readonly budget: Budget;
}

/**
 * Reads one message. Optional fields are absent or have their value, repeated ones are always arrays, 64-bit numbers
 * are bigints, strings are text by `textFromBytes`; nothing refers to `bytes` afterwards. Packed lists are read too.
 *
 * @throws NecromancerError ERR_IMAGE_CORRUPT when the bytes are not such a message, or hold what its fields cannot.
 */
export function decodeRecord<K extends MessageName>(
	type: K,
	bytes: Uint8Array,
	subject: string,
	budget: Budget = imageBudget(),
): Messages[K] {
	const flaw = (finding: string, expectation?: string): never =>
		refuse("ERR_IMAGE_CORRUPT", { subject, finding, ...(expectation === undefined ? {} : { expectation }) });
	const state: Decoding = { reader: new protobuf.Reader(bytes), flaw, at: 0, budget };
	try {
		return decodeMessage(state, type, bytes.length, 0) as unknown as Messages[K];
	} catch (cause) {
		// Reader throws a RangeError where the bytes end, and a plain Error on a bad tag, varint or group.
		const field = `the field at ${offset(state.at)} of ${type}`;
		if (cause instanceof RangeError) flaw(`${field} runs past the end`);
		if (cause instanceof Error && cause.constructor === Error) flaw(`${field} is malformed`);
		throw cause;
	}
}

/**
 * Writes one message as protobuf-c does: by field number, lists unpacked, unknown fields in their place by number.
 *
 * @throws RangeError when a value does not fit its field or a required one is missing: a bug of the caller.
 */
export function encodeRecord<K extends MessageName>(type: K, value: Messages[K]): Uint8Array {
	const writer = new protobuf.Writer();
	encodeMessage(writer, shapeOf(type), value as unknown as Fields);
	return writer.finish();
}

function decodeMessage(state: Decoding, type: MessageName, end: number, depth: number): Fields {
	const { reader, flaw } = state;
	if (depth > MAX_DEPTH) flaw(`${type} at ${offset(reader.pos)} is nested too deep`, `expected at most ${MAX_DEPTH}`);
	const shape = shapeOf(type);
	count(state, PER_MESSAGE + shape.lists);
	const start = reader.pos;
	const outer = reader.len;
	const message: Fields = {};
	const unknown: Uint8Array[] = [];
	for (const { rule, name } of shape.fields) if (rule === "repeated") message[name] = [];
	reader.len = end;
	while (reader.pos < end) {
		count(state);
		state.at = reader.pos;
		const tag = reader.tag();
		const field = shape.byNumber.get(tag >>> 3);
		if (field === undefined) unknown.push(unknownField(state, tag, depth));
		else readField(state, message, type, field, tag & 7, depth);
	}
	reader.len = outer;
	if (unknown.length > 0) message[unknownFields] = byNumber(unknown);
	for (const { rule, name } of shape.fields) {
		if (rule === "required" && message[name] === undefined) {
			flaw(`${type} at ${offset(start)} lacks its required field ${name}`);
		}
	}
	return message;
}

function readField(
	state: Decoding,
	message: Fields,
	type: MessageName,
	field: FieldShape,
	wire: number,
	depth: number,
): void {
	const { reader, flaw, at } = state;
	const known = message[field.name];
	const unfit = (finding: string, expectation: string): never =>
		flaw(`${type}.${field.name} at ${offset(at)} ${finding}`, `expected ${expectation}`);
	if (Array.isArray(known) && wire === 2 && field.wire !== 2) {
		const end = delimited(reader);
		const outer = reader.len;
		for (reader.len = end; reader.pos < end; count(state)) known.push(readValue(state, field, depth, unfit));
		reader.len = outer;
		return;
	}
	if (wire !== field.wire) unfit(`has wire type ${wire}`, `${field.wire}`);
	const value = readValue(state, field, depth, unfit);
	if (Array.isArray(known)) known.push(value);
	else if (known === undefined) message[field.name] = value;
	else unfit("is there a second time", "it once");
}

function readValue(
	state: Decoding,
	{ type }: FieldShape,
	depth: number,
	unfit: (finding: string, expectation: string) => never,
): unknown {
	const { reader } = state;
	if (typeof type === "object") return decodeMessage(state, type.message, delimited(reader), depth + 1);
	if (type === "string") return textFromBytes(reader.bytes());
	if (type === "bytes") {
		count(state, PER_UNKNOWN);
		return new Uint8Array(reader.bytes());
	}
	const raw = type === "fixed64" ? reader.fixed64() : varint(reader);
	return readNumber(type, raw) ?? unfit(`is ${raw.toString()}`, holds[type]);
}

/** An unknown field with its tag. Its varint is read rather than skipped, so that an endless one is noticed. */
function unknownField(state: Decoding, tag: number, depth: number): Uint8Array {
	const { reader, at } = state;
	count(state, PER_UNKNOWN);
	if ((tag & 7) === 0 && tag >>> 3 !== 0) varint(reader);
	else reader.skipType(tag & 7, depth, tag >>> 3);
	return new Uint8Array(reader.buf.subarray(at, reader.pos));
}

/** Reads a length and yields the position where it ends, which lies inside the message around it. */
function delimited(reader: protobuf.Reader): number {
	const length = reader.size();
	if (length > reader.len - reader.pos) throw new RangeError("a length beyond the end");
	return reader.pos + length;
}

/** Reader cuts off what the tenth byte holds above 64 bits. */
function varint(reader: protobuf.Reader): protobuf.Long {
	const start = reader.pos;
	const value = reader.uint64();
	if (reader.pos - start === 10 && (reader.buf[reader.pos - 1] ?? 0) > 1) throw new Error("more than 64 bits");
	return value;
}

const count = (state: Decoding, values = 1): void => {
	for (let budget: Budget | undefined = state.budget; budget !== undefined; budget = budget.outer) {
		budget.left -= values;
		if (budget.left < 0) state.flaw(`${budget.whose} too many values`, `expected at most ${budget.most}`);
	}
};

/** A place inside the record. */
const offset = (at: number): string => `+0x${at.toString(16)}`;

function encodeMessage(writer: protobuf.Writer, shape: MessageShape, message: Fields): void {
	const unknown = byNumber(message[unknownFields] ?? []);
	let next = 0;
	const flush = (below: number): void => {
		for (; next < unknown.length; next++) {
			const bytes = unknown[next];
			if (bytes === undefined || fieldNumber(bytes) >= below) break;
			writer.raw(bytes);
		}
	};
	for (const field of shape.fields) {
		flush(field.number);
		const value = message[field.name];
		if (field.rule === "repeated") for (const item of value as unknown[]) writeField(writer, shape.name, field, item);
		else if (value !== undefined) writeField(writer, shape.name, field, value);
		else if (field.rule === "required") throw new RangeError(`${shape.name}.${field.name} is missing`);
	}
	flush(Number.POSITIVE_INFINITY);
}

function writeField(writer: protobuf.Writer, owner: MessageName, field: FieldShape, value: unknown): void {
	writer.uint32(((field.number << 3) | field.wire) >>> 0);
	if (typeof field.type === "object") {
		writer.fork();
		encodeMessage(writer, shapeOf(field.type.message), value as Fields);
		writer.ldelim();
	} else if (!writeScalar(writer, long, field.type, value)) {
		throw new RangeError(`${owner}.${field.name} is ${String(value)}, expected ${holds[field.type]}`);
	}
}

const long = (low: number, high: number): protobuf.Long => new protobuf.util.Long(low, high, true);

const byNumber = (unknown: readonly Uint8Array[]): Uint8Array[] =>
	unknown.length < 2 ? [...unknown] : [...unknown].sort((a, b) => fieldNumber(a) - fieldNumber(b));

/** The number of a field that is given with its tag, as unknown ones are. */
export const fieldNumber = (field: Uint8Array): number => new protobuf.Reader(field).tag() >>> 3;
