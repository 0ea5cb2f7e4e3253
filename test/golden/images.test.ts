import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, it } from "vitest";
import type { Extent } from "../../src/bytes/extent.ts";
import { fromBuffer } from "../../src/bytes/source.ts";
import { encodeImage, type Image, readImage } from "../../src/criu/image.ts";
import { kindOfFile, magicsOf, rawKindOfFile } from "../../src/criu/kinds.ts";
import { schema } from "../../src/criu/wire/generated/schema.ts";
import { decodeRecord, encodeRecord, type MessageName } from "../../src/criu/wire/protobuf.ts";
import { hasTool } from "../support/tools.ts";

/** Every file of every donor, with its bytes. */
const fixtures = new URL("../../fixtures/", import.meta.url);
const files = readdirSync(fixtures, { recursive: true, encoding: "utf8" })
	.filter((path) => /^[^/]+\/images\/[^/]+$/.test(path))
	.sort()
	.map((path) => ({ path, name: path.replace(/.*\//, "") }));
const images = files.flatMap((file) => {
	const kind = kindOfFile(file.name);
	return kind === undefined ? [] : [{ ...file, kind }];
});
const bytesOf = (path: string): Buffer => readFileSync(new URL(path, fixtures));

const whole = (pieces: readonly (Uint8Array | Extent)[]): Buffer =>
	Buffer.concat(
		pieces.map((it) => (it instanceof Uint8Array ? it : (it.source.read(it.offset, Number(it.length)) ?? Buffer.of()))),
	);

/** The records of a file by its framing alone, without the code under test. The pipes of the fixtures are empty. */
function recordsIn(bytes: Buffer, magics: number): Buffer[] {
	const records: Buffer[] = [];
	for (let at = 4 * magics; at < bytes.length; ) {
		const record = bytes.subarray(at + 4, at + 4 + bytes.readUInt32LE(at));
		records.push(record);
		at += 4 + record.length;
	}
	return records;
}

describe("the images of real donors", () => {
	it("are all of a kind we know", () => {
		expect(files.length).toBeGreaterThan(90);
		expect(files.filter(({ name }) => kindOfFile(name) === undefined && rawKindOfFile(name) === undefined)).toEqual([]);
	});

	it.each(images)("$path is written as it was read", ({ path, kind }) => {
		const bytes = bytesOf(path);
		expect(whole(encodeImage(readImage(fromBuffer(path, bytes), kind.name))).equals(bytes)).toBe(true);
	});

	it.each(images)("$path has records that are encoded as they were", ({ path, kind }) => {
		const bytes = bytesOf(path);
		const records = recordsIn(bytes, magicsOf(kind).length);
		for (const [i, record] of records.entries()) {
			const type = i === 0 && kind.head !== undefined ? kind.head : kind.record;
			expect(Buffer.from(encodeRecord(type, decodeRecord(type, record, path))).equals(record)).toBe(true);
		}
		const image: Image = readImage(fromBuffer(path, bytes), kind.name);
		expect(image.records.length + (image.head === undefined ? 0 : 1)).toBe(records.length);
	});
});

const hasProtoc = hasTool("protoc");

describe.skipIf(!hasProtoc)(`protoc as witness${hasProtoc ? "" : " (skipped: protoc is not installed)"}`, () => {
	const protoFolder = fileURLToPath(new URL("../../proto/", import.meta.url));
	const sources = readdirSync(protoFolder).filter((name) => name.endsWith(".proto"));
	const scratch = mkdtempSync(join(tmpdir(), "necromancer-protoc-"));
	afterAll(() => rmSync(scratch, { recursive: true }));

	/** protoc's text for messages of one type, through a message of its own that holds them all. */
	const textOf = (type: string, records: readonly Uint8Array[]): string => {
		const imports = sources.map((name) => `import "${name}";`).join("\n");
		writeFileSync(
			join(scratch, `${type}_list.proto`),
			`syntax = "proto2";\n${imports}\nmessage ${type}_list { repeated ${type} item = 1; }\n`,
		);
		const input = Buffer.concat(records.flatMap((it) => [Uint8Array.of(10), varint(it.length), it]));
		const paths = [`-I${protoFolder}`, `-I${scratch}`];
		const run = spawnSync("protoc", [...paths, `--decode=${type}_list`, `${type}_list.proto`], {
			input,
			maxBuffer: 1 << 28,
		});
		expect(run.status).toBe(0);
		return run.stdout.toString();
	};

	const types = [
		...new Set(images.flatMap(({ kind }) => [kind.record as MessageName, ...(kind.head ? [kind.head] : [])])),
	];
	it.each(types)("reads each %s of the fixtures as we do, with no number left over", (type) => {
		const records = images.flatMap(({ path, kind }) => {
			const all = recordsIn(bytesOf(path), magicsOf(kind).length);
			if (kind.head !== undefined)
				return type === kind.head ? all.slice(0, 1) : type === kind.record ? all.slice(1) : [];
			return type === kind.record ? all : [];
		});
		const ours = records.map((it) => `item {\n${rendered(type, decodeRecord(type, it, type), "  ")}}\n`).join("");
		expect(textOf(type, records)).toBe(ours);
		expect(ours).not.toMatch(/^\s*\d+[:{ ]/m);
	});
});

const varint = (value: number): Uint8Array =>
	value < 128 ? Uint8Array.of(value) : Buffer.concat([Uint8Array.of((value & 127) | 128), varint(value >>> 7)]);

/** A message in protobuf's text format, from the committed descriptor and what the decoder yields. */
function rendered(type: string, message: object, indent: string): string {
	const declared = schema.nested[type];
	if (declared === undefined || !("fields" in declared)) throw new Error(type);
	const values = new Map<string, unknown>(Object.entries(message));
	return Object.entries(declared.fields)
		.flatMap(([name, field]) => [values.get(name) ?? []].flat().map((value) => lineOf(name, field.type, value, indent)))
		.join("");
}

const lineOf = (name: string, type: string, value: unknown, indent: string): string => {
	const declared = schema.nested[type];
	if (declared !== undefined && "fields" in declared) {
		return `${indent}${name} {\n${rendered(type, value as object, `${indent}  `)}${indent}}\n`;
	}
	const named = declared && Object.entries(declared.values).find(([, number]) => number === value)?.[0];
	const text =
		typeof value === "string" ? `"${value}"` : value instanceof Uint8Array ? `"${escaped(value)}"` : `${value}`;
	return `${indent}${name}: ${named ?? text}\n`;
};

const escaped = (bytes: Uint8Array): string =>
	Array.from(bytes, (byte) =>
		byte > 31 && byte < 127 ? String.fromCharCode(byte) : `\\${byte.toString(8).padStart(3, "0")}`,
	).join("");
