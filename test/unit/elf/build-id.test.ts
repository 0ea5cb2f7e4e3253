import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { fromBuffer, openFile } from "../../../src/bytes/source.ts";
import { buildIdFrom, buildIdOfFile } from "../../../src/elf/build-id.ts";
import { buildCore } from "../../support/builders/core-builder.ts";
import { fixturePath } from "../../support/builders/fixture-core.ts";
import { hasTool } from "../../support/tools.ts";

const programs = ["bin/counter", "bin/counter-static", "bin/threads"].map(fixturePath);

describe.skipIf(!hasTool("readelf"))("against readelf (binutils)", () => {
	test.each(programs)("%s", (path) => {
		const [, id] = /Build ID: ([0-9a-f]+)/.exec(execFileSync("readelf", ["-n", path], { encoding: "utf8" })) ?? [];
		expect(buildIdOfFile(openFile(path))).toBe(id);
		expect(buildIdFrom(readFileSync(path).subarray(0, 4096))).toBe(id);
	});
});

test("bytes that end before the note have none", () => {
	const [path = ""] = programs;
	const bytes = readFileSync(path);
	for (const length of [0, 3, 63, 64, 500, 792]) expect(buildIdFrom(bytes.subarray(0, length))).toBeUndefined();
});

test("no beginning of an object throws", () => {
	const [path = ""] = programs;
	const page = readFileSync(path).subarray(0, 4096);
	for (let length = 0; length < 1200; length++) buildIdFrom(page.subarray(0, length));
});

test("what is no object has none", () => {
	expect(buildIdFrom(Buffer.from("#!/bin/sh\n"))).toBeUndefined();
	expect(buildIdFrom(buildCore({ threads: [{ tid: 1 }] }))).toBeUndefined();
	expect(buildIdOfFile(fromBuffer("text", Buffer.alloc(4096, "x")))).toBeUndefined();
});

/** An object with these PT_NOTE segments (offset, contents, alignment), made by hand. */
function object(notes: readonly (readonly [number, Buffer, bigint])[]): Buffer {
	const raw = Buffer.alloc(4096);
	raw.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
	raw.writeUInt16LE(3, 16);
	raw.writeUInt16LE(62, 18);
	raw.writeBigUInt64LE(64n, 32);
	raw.writeUInt16LE(56, 54);
	raw.writeUInt16LE(notes.length, 56);
	for (const [i, [offset, bytes, align]] of notes.entries()) {
		raw.writeUInt32LE(4, 64 + 56 * i);
		raw.writeBigUInt64LE(BigInt(offset), 64 + 56 * i + 8);
		raw.writeBigUInt64LE(BigInt(bytes.length), 64 + 56 * i + 32);
		raw.writeBigUInt64LE(align, 64 + 56 * i + 48);
		if (offset < raw.length) raw.set(bytes, offset);
	}
	return raw;
}

const gnu = (type: number, desc: string): Buffer => {
	const head = Buffer.from("040000000000000000000000474e5500", "hex");
	head.writeUInt32LE(desc.length / 2, 4);
	head.writeUInt32LE(type, 8);
	return Buffer.concat([head, Buffer.from(desc, "hex")]);
};

test("it is found behind properties aligned to 8, other notes, and segments outside the bytes", () => {
	const id = "00112233445566778899aabbccddeeff00112233";
	const properties = [512, Buffer.concat([gnu(5, "0011223344556677889900aa00000000")]), 8n] as const;
	const outside = [100_000, gnu(3, "dead"), 4n] as const;
	expect(buildIdFrom(object([outside, properties, [1024, Buffer.concat([gnu(1, "00000000"), gnu(3, id)]), 4n]]))).toBe(
		id,
	);
	expect(buildIdFrom(object([[512, Buffer.concat([gnu(5, "0011223344556677"), gnu(3, id)]), 8n]]))).toBe(id);
});

test("an empty or endless build-id is none", () => {
	expect(buildIdFrom(object([[512, gnu(3, ""), 4n]]))).toBeUndefined();
	expect(buildIdFrom(object([[512, gnu(3, "ab".repeat(65)), 4n]]))).toBeUndefined();
});
