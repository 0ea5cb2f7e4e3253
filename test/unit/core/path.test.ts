import fc from "fast-check";
import { expect, test } from "vitest";
import { pathBytes, pathFrom } from "../../../src/core/path.ts";

test("UTF-8 is text, other bytes are lone surrogates", () => {
	expect(pathFrom(Buffer.from("/tmp/größe 🦀"))).toBe("/tmp/größe 🦀");
	expect(pathFrom(Buffer.from([0x2f, 0xff, 0x61, 0xc3]))).toBe("/\udcffa\udcc3");
	// An encoded surrogate is no UTF-8 either.
	expect(pathFrom(Buffer.from([0xed, 0xb2, 0x80]))).toBe("\udced\udcb2\udc80");
	expect(pathFrom(Buffer.from([0xff, 0xf0, 0x9f, 0xa6, 0x80]))).toBe("\udcff🦀");
});

test("no bytes are lost", () => {
	fc.assert(
		fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
			expect([...pathBytes(pathFrom(bytes))]).toEqual([...bytes]);
		}),
	);
	fc.assert(fc.property(fc.string({ unit: "grapheme" }), (text) => pathFrom(pathBytes(text)) === text));
});
