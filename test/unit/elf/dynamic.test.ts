import { describe, expect, it } from "vitest";
import { dynamicFunctions } from "../../../src/elf/dynamic.ts";
import { vdsoImage } from "../../support/builders/vdso-image.ts";

const functions = [
	{ name: "__vdso_time", at: 0x900, size: 40 },
	{ name: "time", at: 0x900, size: 40 },
	{ name: "__vdso_getcpu", at: 0xa00, size: 44 },
];

describe("dynamicFunctions", () => {
	it.each([
		{ hash: "sysv" as const, base: 0n },
		{ hash: "gnu" as const, base: 0n },
		{ hash: "sysv" as const, base: 0xffff_ffff_ff70_0000n },
	])("finds the functions of an image with $hash hash table at $base", (options) => {
		expect(dynamicFunctions(vdsoImage(functions, options))).toEqual(functions);
	});

	it("finds nothing in what is no ELF image", () => {
		expect(dynamicFunctions(new Uint8Array(8192))).toEqual([]);
		expect(dynamicFunctions(new Uint8Array())).toEqual([]);
	});

	it.each(["sysv", "gnu"] as const)("survives a %s image cut short anywhere", (hash) => {
		const image = vdsoImage(functions, { hash });
		for (let length = 0; length < 0x800; length++)
			expect(dynamicFunctions(image.subarray(0, length)).length).toBeLessThanOrEqual(3);
	});

	it("survives every byte of the tables being all ones", () => {
		for (const hash of ["sysv", "gnu"] as const)
			for (let at = 0; at < 0x640; at++) {
				const image = vdsoImage(functions, { hash });
				image[at] = 0xff;
				image[at + 1] = 0xff;
				for (const found of dynamicFunctions(image)) {
					expect(found.at).toBeLessThan(image.length);
					expect(found.at + found.size).toBeLessThanOrEqual(image.length);
					expect(found.name.length).toBeLessThanOrEqual(128);
				}
			}
	});
});
