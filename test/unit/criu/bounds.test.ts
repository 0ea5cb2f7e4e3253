import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { openImageDir } from "../../../src/criu/image-dir.ts";
import { processesOf, taskFromImages } from "../../../src/images/read/from-images.ts";
import { image, writeDonor } from "../../support/builders/donor-builder.ts";
import { livingDonor } from "../../support/builders/pair.ts";
import { refusal } from "../../support/refusal.ts";
import { scratch } from "../../support/scratch.ts";
import { number } from "../../support/witness/wire.ts";

const PSTREE = 0x50273030;
const entry = (pid: number, ...threads: readonly number[]): number[] => [
	...number(1, pid),
	...number(2, 0),
	...number(3, 1),
	...number(4, 1),
	...threads.flatMap((tid) => number(5, tid)),
];

/** What a donor with another pstree.img is refused with, without the name of its directory. */
function refused(...tree: readonly (readonly number[])[]): string {
	const path = writeDonor(join(scratch(), "donor"), livingDonor());
	writeFileSync(join(path, "pstree.img"), image(PSTREE, ...tree));
	const dir = openImageDir(path);
	try {
		return refusal(() => processesOf(dir))
			.replace(path, "DIR")
			.replace(/in \d+ bytes/, "in SIZE bytes");
	} finally {
		dir.close();
	}
}

describe("the most that is taken of images", () => {
	test("each process and thread once, and 16,384 of them", () => {
		expect(refused(...Array.from({ length: 2000 }, () => entry(7, 7)))).toBe(
			"ERR_IMAGE_CORRUPT DIR/pstree.img: has process 7 twice, expected it once",
		);
		expect(refused(entry(7, 7), entry(8, 8, 7))).toBe(
			"ERR_IMAGE_CORRUPT DIR/pstree.img: has thread 7 twice, expected it once",
		);
		expect(refused(entry(1, ...Array.from({ length: 16_385 }, (_, i) => i + 1)))).toBe(
			"ERR_IMAGE_CORRUPT DIR/pstree.img: has 16385 threads, expected at most 16384 in SIZE bytes",
		);
	});

	test("mappings that do not overlap", () => {
		const donor = livingDonor();
		const [first] = donor.vmas;
		if (first === undefined) return expect.fail("the donor has no mapping");
		const path = writeDonor(join(scratch(), "donor"), { ...donor, vmas: [first, ...donor.vmas] });
		const dir = openImageDir(path);
		try {
			expect(refusal(() => taskFromImages(dir))).toMatch(
				/^ERR_IMAGE_CORRUPT .*mappings 0x\w+-0x\w+ and 0x\w+-0x\w+ overlap/,
			);
		} finally {
			dir.close();
		}
	});
});
