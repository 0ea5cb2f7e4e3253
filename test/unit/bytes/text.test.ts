import { describe, expect, it } from "vitest";
import { bytesFromText, textFromBytes } from "../../../src/bytes/text.ts";
import { bytes } from "../../support/witness/wire.ts";

describe("textFromBytes", () => {
	it("reads UTF-8 as text", () => {
		expect(textFromBytes(new Uint8Array(Buffer.from("/srv/größe/鮎/🐟")))).toBe("/srv/größe/鮎/🐟");
		expect(textFromBytes(bytes("ef bb bf 61"))).toBe("\ufeffa");
		expect(textFromBytes(bytes("ef bf bd"))).toBe("\ufffd");
	});

	// a file made under a Latin-1 locale: /var/log/gr<f6>sse
	it("keeps a byte that is not UTF-8 as a lone surrogate", () => {
		expect(textFromBytes(bytes("67 72 f6 73 73 65"))).toBe("gr\udcf6sse");
		expect(bytesFromText("gr\udcf6sse")).toEqual(bytes("67 72 f6 73 73 65"));
	});

	it.each([
		["a sequence that breaks off", "e2 82", "\udce2\udc82"],
		["an overlong slash", "c0 af", "\udcc0\udcaf"],
		["a surrogate in UTF-8", "ed a0 80", "\udced\udca0\udc80"],
		["a character beyond Unicode", "f5 80 80 80", "\udcf5\udc80\udc80\udc80"],
		["valid text around it", "c3 a9 ff c3 a9", "é\udcffé"],
	])("keeps %s", (_, raw, text) => {
		expect(textFromBytes(bytes(raw))).toBe(text);
		expect(bytesFromText(text)).toEqual(bytes(raw));
	});
});

describe("bytesFromText", () => {
	it("refuses surrogates that stand for no byte", () => {
		expect(() => bytesFromText("a\ud800b")).toThrow(new RangeError("U+D800 stands for no byte"));
		expect(() => bytesFromText("\udc7f")).toThrow(new RangeError("U+DC7F stands for no byte"));
		expect(() => bytesFromText("\udd00")).toThrow(new RangeError("U+DD00 stands for no byte"));
	});
});
