import { describe, expect, test } from "vitest";
import type { ImageDir } from "../../../src/criu/image-dir.ts";
import { nameTable } from "../../../src/patch/name-table.ts";

const donorOf = (...names: string[]): ImageDir => ({ names }) as unknown as ImageDir;
const pages = (n: number): string => `pages-${n}.img`;

describe("names", () => {
	test("fresh ones are the lowest that are free, each only once", () => {
		const names = nameTable(donorOf("pages-1.img", "pages-3.img"));
		expect([names.fresh(pages), names.fresh(pages), names.fresh(pages)]).toEqual([2, 4, 5]);
		expect(names.fresh((n) => `pagemap-shmem-${n}.img`)).toBe(1);
	});

	test("what is dropped is free again, what is replaced is not", () => {
		const names = nameTable(donorOf("pages-1.img", "pages-2.img"));
		expect(names.fresh(pages)).toBe(3);
		names.replace("pages-2.img");
		names.drop("pages-1.img");
		expect([names.fresh(pages), names.fresh(pages)]).toEqual([1, 4]);
		expect([...names.kept]).toEqual([]);
	});

	test("the search for one does not begin anew each time", () => {
		const names = nameTable(donorOf());
		let asked = 0;
		for (let i = 1; i <= 1000; i++)
			expect(
				names.fresh((n) => {
					asked++;
					return pages(n);
				}),
			).toBe(i);
		expect(asked).toBeLessThan(20_000);
	});
});
