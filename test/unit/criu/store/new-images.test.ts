import { mkdirSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { extent } from "../../../../src/bytes/extent.ts";
import { openDirectory } from "../../../../src/bytes/open-directory.ts";
import { fromBuffer, openFile } from "../../../../src/bytes/source.ts";
import { draftWork, type NewImages, writeNewImages } from "../../../../src/criu/store/new-images.ts";
import { donorAt, makeScene, newFiles, play } from "../../../support/builders/scene.ts";
import { refusalOf } from "../../../support/refusal.ts";
import { contentsOf, modeOf, scratch } from "../../../support/scratch.ts";

const draft = (more: Partial<NewImages> = {}): NewImages => ({
	copies: new Map(),
	images: new Map([["inventory.img", [Buffer.from("inventory")]]]),
	pages: [],
	...more,
});

test("a draft becomes files of mode 0600", async () => {
	const { draft: whole, donor, close } = play(makeScene(scratch()));
	const target = scratch();
	let progress = 0n;
	const written = await writeNewImages(whole, donor, openDirectory(target), {
		progress: (bytes) => (progress += bytes),
		sync: true,
	});
	close();
	expect(contentsOf(target)).toEqual(newFiles);
	expect(new Set(Object.keys(newFiles).map((name) => modeOf(join(target, name))))).toEqual(new Set(["0600"]));
	expect(written.pages.get("pagemap-200.img")).toMatchObject({ pages: 3, zero: 2 });
	expect(progress).toBe(draftWork(whole));
	expect(progress).toBe(5n * 4096n);
});

test("pieces of other files are copied, of any size", async () => {
	const target = scratch();
	const bytes = Buffer.alloc(3_000_000, "ghost");
	writeFileSync(join(target, "donor"), bytes);
	const source = openFile(join(target, "donor"));
	const pieces = [
		Buffer.from("head"),
		extent(source, 5n, 2_500_000n),
		extent(fromBuffer("memory", bytes), 0n, 5n),
		extent(source, 0n, 0n),
		// what lies behind the bytes that a source has reads as zeros, whatever it holds there
		extent(source, 0n, 7n, 5n),
	];
	const images = new Map([["ghost-file-1.img", pieces], ...draft().images]);
	expect(draftWork(draft({ images }))).toBe(2_500_012n);
	await writeNewImages(draft({ images }), donorAt(target), openDirectory(target));
	expect(contentsOf(target)["ghost-file-1.img"]).toBe(
		`head${bytes.subarray(5, 2_500_005).toString("latin1")}ghostghost\0\0`,
	);
	truncateSync(join(target, "donor"), 100);
	expect(await refusalOf(writeNewImages(draft({ images }), donorAt(target), openDirectory(scratch())))).toBe(
		`ERR_IMAGE_TRUNCATED ${join(target, "donor")}: ends at 0x64, expected 1048576 bytes at 0x5`,
	);
	source.close();
});

describe("a kept file", () => {
	test.each(["link", "folder", "nothing"])("that is a %s is refused", async (kind) => {
		const from = scratch();
		if (kind === "link") symlinkSync("/etc/passwd", join(from, "fs-1.img"));
		if (kind === "folder") mkdirSync(join(from, "fs-1.img"));
		const copies = new Map([["fs-2.img", "fs-1.img"]]);
		expect(await refusalOf(writeNewImages(draft({ copies }), donorAt(from), openDirectory(scratch())))).toBe(
			`ERR_IMAGE_CORRUPT ${join(from, "fs-1.img")}: is no regular file, expected an image`,
		);
	});

	test("is never written through a planted link", async () => {
		const from = scratch();
		const target = scratch();
		writeFileSync(join(from, "fs-1.img"), "fs");
		symlinkSync(join(from, "victim"), join(target, "fs-2.img"));
		const copies = new Map([["fs-2.img", "fs-1.img"]]);
		expect(await refusalOf(writeNewImages(draft({ copies }), donorAt(from), openDirectory(target)))).toBe(
			`ERR_IO ${join(target, "fs-2.img")}: copyfile failed with EEXIST`,
		);
		expect(contentsOf(from)).toEqual({ "fs-1.img": "fs" });
	});
});

test("the link to the directory that an incremental dump continues leads there from the new place too", async () => {
	const from = scratch();
	const target = scratch();
	await writeNewImages(draft(), donorAt(from, "../first"), openDirectory(target));
	expect(contentsOf(target)).toEqual({ "inventory.img": "inventory", parent: `-> ${join(from, "../first")}` });
});

test.each([
	[
		"a name twice",
		draft({ copies: new Map([["inventory.img", "inventory.img"]]) }),
		"the draft holds inventory.img twice",
	],
	["no inventory", draft({ images: new Map() }), "the draft lacks inventory.img"],
	["a path", draft({ copies: new Map([["../x", "x"]]) }), '"../x" is no name for an image'],
	["a name of ours", draft({ copies: new Map([[".necromancer", "x"]]) }), '".necromancer" is no name for an image'],
])("a draft with %s is a bug of ours", async (_, wrong, message) => {
	await expect(writeNewImages(wrong, donorAt(scratch()), openDirectory(scratch()))).rejects.toThrow(
		new RangeError(message),
	);
});
