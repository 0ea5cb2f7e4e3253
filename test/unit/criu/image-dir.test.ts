import { mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type ImageDir, openImageDir } from "../../../src/criu/image-dir.ts";
import { refusal } from "../../support/refusal.ts";
import { delimited, framed, imageBytes, number, word } from "../../support/witness/wire.ts";

let folder: string;
let open: ImageDir | undefined;

const put = (name: string, bytes: Uint8Array): void => writeFileSync(join(folder, name), bytes);
const inventory = (version: number): Uint8Array =>
	Uint8Array.from([...word(0x58313116), ...framed(number(1, version))]);
const ids = (...records: readonly (readonly number[])[]): Uint8Array => imageBytes(0x54432030, ...records.map(framed));
const someIds = [1, 2, 3, 4].flatMap((id) => number(id, id));
const opened = (): ImageDir => {
	open = openImageDir(folder);
	return open;
};
const descriptors = (): number => readdirSync("/proc/self/fd").length;

beforeEach(() => {
	folder = mkdtempSync(join(tmpdir(), "necromancer-images-"));
	put("inventory.img", inventory(2));
});
afterEach(() => {
	open?.close();
	open = undefined;
	rmSync(folder, { recursive: true });
});

describe("openImageDir", () => {
	it("lists regular files, sorted, and nothing of ours", () => {
		for (const name of ["pages-2.img", "pages-10.img", "dump.log", ".necromancer-lock.1"]) put(name, Uint8Array.of());
		mkdirSync(join(folder, ".necromancer"));
		mkdirSync(join(folder, "folder"));
		symlinkSync("/etc/passwd", join(folder, "core-1.img"));
		symlinkSync("../before", join(folder, "parent"));
		const dir = opened();
		expect(dir.path).toBe(folder);
		expect(dir.names).toEqual(["dump.log", "inventory.img", "pages-10.img", "pages-2.img"]);
		expect(dir.parent).toBe("../before");
		expect(dir.has("pages-2.img")).toBe(true);
		expect(dir.has("core-1.img")).toBe(false);
	});

	it("has no parent when there is no such link", () => {
		expect("parent" in opened()).toBe(false);
	});

	it("reads images by kind", () => {
		put("ids-7.img", ids(someIds));
		const dir = opened();
		expect(dir.one("ids-7.img", "ids").sighand_id).toBe(4);
		expect(dir.image("ids-7.img", "ids").records).toHaveLength(1);
	});

	it("keeps open what payloads refer to, and nothing else", () => {
		put("ids-7.img", ids(someIds));
		put("pipes-data.img", imageBytes(0x56453709, framed([...number(1, 5), ...number(2, 2)]), [65, 66]));
		const dir = opened();
		const before = descriptors();
		dir.one("ids-7.img", "ids");
		expect(descriptors()).toBe(before);
		const extra = dir.image("pipes-data.img", "pipes-data").records[0]?.extra;
		expect(extra?.source.read(extra.offset, 2)).toEqual(Buffer.from("AB"));
		expect(dir.source("pipes-data.img")).toBe(extra?.source);
		expect(descriptors()).toBe(before + 1);
		dir.close();
		expect(descriptors()).toBe(before - 1);
	});

	it("closes an image that it could not read", () => {
		put("ids-7.img", ids(number(1, 1)));
		const dir = opened();
		const before = descriptors();
		expect(refusal(() => dir.one("ids-7.img", "ids"))).toBe(
			`ERR_IMAGE_CORRUPT ${folder}/ids-7.img at 0x8: task_kobj_ids_entry at +0x0 lacks its required field files_id`,
		);
		expect(descriptors()).toBe(before);
	});
});

describe("what openImageDir refuses", () => {
	it("a path that is no directory", () => {
		expect(refusal(() => openImageDir(join(folder, "none")))).toBe(
			`ERR_IO ${folder}/none: open failed with ENOENT (no such file)`,
		);
		expect(refusal(() => openImageDir(join(folder, "inventory.img")))).toBe(
			`ERR_IO ${folder}/inventory.img: open failed with ENOTDIR (not a directory)`,
		);
	});

	it("a directory without an inventory", () => {
		rmSync(join(folder, "inventory.img"));
		expect(refusal(opened)).toBe(
			`ERR_IMAGE_MISSING ${folder}: holds no inventory.img, expected the images of a dump that was finished; name the directory that criu dump -D was given, or dump the donor again`,
		);
	});

	it.each([1, 3])("img_version %d", (version) => {
		put("inventory.img", inventory(version));
		expect(refusal(opened)).toBe(
			`ERR_IMAGE_VERSION ${folder}/inventory.img: img_version is ${version}, expected 2; dump the donor again with CRIU 4.2`,
		);
	});

	it("an inventory that is none", () => {
		put("inventory.img", imageBytes(0x54432030));
		expect(refusal(opened)).toBe(
			`ERR_IMAGE_MAGIC ${folder}/inventory.img: is an image of kind ids, expected inventory (0x58313116)`,
		);
	});

	it.each(["ids-7.img", "../outside.img", "/etc/passwd", ".", ""])("a file that is not there: %j", (name) => {
		expect(refusal(() => opened().source(name))).toBe(
			`ERR_IMAGE_MISSING ${folder}: holds no ${name}, expected that image; copy the whole directory, or dump the donor again`,
		);
	});

	it("to follow a link, or to enter a folder", () => {
		symlinkSync("/etc/passwd", join(folder, "core-1.img"));
		mkdirSync(join(folder, "core-2.img"));
		const rest = "expected a file in the directory itself; copy the whole directory, or dump the donor again";
		expect(refusal(() => opened().source("core-1.img"))).toBe(
			`ERR_IMAGE_MISSING ${folder}: core-1.img is a link, ${rest}`,
		);
		expect(refusal(() => opened().source("core-2.img"))).toBe(
			`ERR_IMAGE_MISSING ${folder}: core-2.img is no regular file, ${rest}`,
		);
	});

	it("one record where there are none or two", () => {
		put("ids-7.img", ids());
		put("ids-8.img", ids(someIds, [...someIds, ...delimited(50, "x")]));
		const dir = opened();
		expect(refusal(() => dir.one("ids-7.img", "ids"))).toBe(
			`ERR_IMAGE_CORRUPT ${folder}/ids-7.img: holds no record, expected one`,
		);
		expect(refusal(() => dir.one("ids-8.img", "ids"))).toBe(
			`ERR_IMAGE_CORRUPT ${folder}/ids-8.img: holds 2 records, expected one`,
		);
	});
});
