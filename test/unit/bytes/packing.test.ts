import { expect, test } from "vitest";
import { packingOf } from "../../../src/bytes/packing.ts";

test.each([
	["1f8b0800", "gzip"],
	["28b52ffd", "zstd"],
	["502a4d1804000000", "zstd"],
	["5f2a4d18", "zstd"],
	["04224d18", "lz4"],
	["02214c18", "lz4"],
	["fd377a585a00", "xz"],
	["425a6839314159265359", "bzip2"],
	["425a6831177245385090", "bzip2"],
])("%s is %s", (start, packing) => {
	expect(packingOf(Buffer.from(start, "hex"))).toBe(packing);
	expect(packingOf(Buffer.concat([Buffer.from(start, "hex"), Buffer.alloc(20, 0x11)]))).toBe(packing);
});

test.each([
	"",
	"1f8b",
	"1f8b07",
	"7f454c46020101",
	"28b52f",
	"fd377a585a01",
	"425a683931415926535a",
	"425a6839",
	"602a4d18",
])("%s is not compressed", (start) => {
	expect(packingOf(Buffer.from(start, "hex"))).toBeUndefined();
});
