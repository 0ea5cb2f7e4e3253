import fc from "fast-check";
import protobuf from "protobufjs";
import { describe, expect, it } from "vitest";
import { readSources } from "../../scripts/generate-proto.mjs";
import { fileOffset } from "../../src/bytes/address.ts";
import { fromBuffer } from "../../src/bytes/source.ts";
import { bytesFromText, textFromBytes } from "../../src/bytes/text.ts";
import { encodeImage, type ImageRecord, readImage } from "../../src/criu/image.ts";
import { imageKinds, type RecordOf } from "../../src/criu/kinds.ts";
import { decodeRecord, encodeRecord } from "../../src/criu/wire/protobuf.ts";
import { messageNames } from "../../src/criu/wire/shape.ts";
import { NecromancerError } from "../../src/errors.ts";
import { messageOf } from "../support/builders/message-arbitrary.ts";
import { framed, imageBytes, number } from "../support/witness/wire.ts";

const names = messageNames();

/** protobufjs' own reading of our declarations: it has seen neither the generated schema nor our codec. */
const root = new protobuf.Root();
for (const { text } of readSources()) protobuf.parse(text, root, { keepCase: true });
root.resolveAll();

describe("names", () => {
	it("any bytes survive as text", () => {
		const sequences = fc.oneof(
			fc.uint8Array({ maxLength: 12 }),
			fc.string({ unit: "binary", maxLength: 6 }).map((it) => Uint8Array.from(Buffer.from(it))),
		);
		fc.assert(
			fc.property(fc.array(sequences, { maxLength: 5 }), (parts) => {
				const raw = new Uint8Array(Buffer.concat(parts));
				expect(bytesFromText(textFromBytes(raw))).toEqual(raw);
			}),
		);
	});

	it("different bytes are different text", () => {
		fc.assert(
			fc.property(fc.uint8Array({ maxLength: 4 }), fc.uint8Array({ maxLength: 4 }), (a, b) => {
				expect(textFromBytes(a) === textFromBytes(b)).toBe(Buffer.compare(a, b) === 0);
			}),
		);
	});
});

describe.each(names)("%s", (name) => {
	const runs = { numRuns: 15 };

	it("survives writing and reading, unknown fields, odd enums and odd names included", () => {
		fc.assert(
			fc.property(messageOf(name, { wild: true, depth: 3 }), (value) => {
				const bytes = encodeRecord(name, value as never);
				const back = decodeRecord(name, bytes, name);
				expect(back).toStrictEqual(value);
				expect(encodeRecord(name, back)).toEqual(bytes);
			}),
			runs,
		);
	});

	it("is read by protobufjs as by us", () => {
		const type = root.lookupType(name);
		fc.assert(
			fc.property(messageOf(name, { wild: false, depth: 3 }), (value) => {
				const bytes = encodeRecord(name, value as never);
				const theirs = type.toObject(type.decode(bytes), { longs: BigInt, arrays: true });
				expect(plain(theirs)).toStrictEqual(plain(value));
				expect(new Uint8Array(type.encode(type.fromObject(value)).finish())).toEqual(bytes);
			}),
			runs,
		);
	});

	it("is refused or read without loss, whatever the bytes", () => {
		const valid = messageOf(name, { wild: true, depth: 2 }).map((it) => encodeRecord(name, it as never));
		const spoilt = fc.tuple(valid, fc.nat(), fc.nat(255)).map(([bytes, at, value]) => {
			const copy = Uint8Array.from(bytes);
			if (copy.length > 0) copy[at % copy.length] = value;
			return copy;
		});
		const cut = fc.tuple(valid, fc.nat()).map(([bytes, at]) => bytes.subarray(0, at % (bytes.length + 1)));
		fc.assert(
			fc.property(fc.oneof(spoilt, cut, fc.uint8Array({ maxLength: 64 })), (bytes) => {
				const value = attempt(() => decodeRecord(name, bytes, name));
				if (value === undefined) return;
				expect(decodeRecord(name, encodeRecord(name, value), name)).toStrictEqual(value);
			}),
			{ numRuns: 40 },
		);
	});
});

describe("framing", () => {
	it("keeps any records and what lies behind them", () => {
		fc.assert(
			fc.property(fc.array(fc.tuple(fc.nat(), fc.uint8Array({ maxLength: 300 }))), (pipes) => {
				const expected = imageBytes(
					imageKinds["pipes-data"].magic,
					...pipes.map(([id, data]) => [...framed([...number(1, id), ...number(2, data.length)]), ...data]),
				);
				const source = fromBuffer("pipes-data.img", expected);
				const image = readImage(source, "pipes-data");
				expect(image.records.map(({ value }) => [value.pipe_id, value.bytes])).toEqual(
					pipes.map(([id, data]) => [id, data.length]),
				);
				for (const [i, { extra }] of image.records.entries()) {
					const data = extra === undefined ? Buffer.of() : source.read(extra.offset, Number(extra.length));
					expect(data).toEqual(Buffer.from(pipes[i]?.[1] ?? []));
				}
				expect(whole(encodeImage(image))).toEqual(expected);
			}),
		);
	});

	it("joins records from different files", () => {
		fc.assert(
			fc.property(fc.array(fc.uint8Array({ minLength: 1, maxLength: 50 })), (contents) => {
				const records = contents.map((data, i): ImageRecord<RecordOf<"fifo-data">> => {
					const source = fromBuffer(`${i}`, Uint8Array.of(9, ...data, 9));
					const length = BigInt(data.length);
					const extra = { source, offset: fileOffset(1), length, available: length };
					return { value: { pipe_id: i, bytes: data.length }, extra };
				});
				const kind = imageKinds["fifo-data"];
				expect(whole(encodeImage({ kind, records }))).toEqual(
					imageBytes(
						kind.magic,
						...contents.map((data, i) => [...framed([...number(1, i), ...number(2, data.length)]), ...data]),
					),
				);
			}),
		);
	});
});

/** The value, or nothing where it was refused. Any other error is a bug and passes through. */
function attempt<T>(call: () => T): T | undefined {
	try {
		return call();
	} catch (error) {
		if (error instanceof NecromancerError && error.code === "ERR_IMAGE_CORRUPT") return undefined;
		throw error;
	}
}

const whole = (pieces: ReturnType<typeof encodeImage>): Buffer =>
	Buffer.concat(
		pieces.map((it) => (it instanceof Uint8Array ? it : (it.source.read(it.offset, Number(it.length)) ?? Buffer.of()))),
	);

/** Without the classes that protobufjs gives messages and bytes. */
const plain = (value: unknown): unknown => {
	if (value instanceof Uint8Array) return [...value];
	if (Array.isArray(value)) return value.map(plain);
	if (typeof value !== "object" || value === null) return value;
	return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, plain(item)]));
};
