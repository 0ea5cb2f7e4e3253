import { mkdirSync, openSync, readFileSync, symlinkSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { fileOffset } from "../../../src/bytes/address.ts";
import { readInto, writeFrom } from "../../../src/bytes/bulk.ts";
import { entryIn, removeFlat } from "../../../src/bytes/directory.ts";
import { openDirectory } from "../../../src/bytes/open-directory.ts";
import { attemptWrite, createFile } from "../../../src/bytes/sink.ts";
import { fromBuffer, openFile } from "../../../src/bytes/source.ts";
import { refusal } from "../../support/refusal.ts";
import { contentsOf, scratch } from "../../support/scratch.ts";

test("more parts than one call takes are written in order, from a position on", () => {
	const directory = scratch();
	const file = createFile(join(directory, "pages"));
	const parts = Array.from({ length: 2500 }, (_, i) => Buffer.from(`${i};`));
	writeFrom(file.fd, file.name, parts, 3);
	writeFrom(file.fd, file.name, [Buffer.from("abc")], 0);
	writeFrom(file.fd, file.name, [], 0);
	file.close();
	expect(readFileSync(join(directory, "pages"), "latin1")).toBe(`abc${parts.join("")}`);
});

test.each(["file", "buffer"])("a %s is read exactly, or said to be short", async (kind) => {
	const path = join(scratch(), "core");
	writeFileSync(path, "0123456789");
	const source = kind === "file" ? openFile(path) : fromBuffer("core", readFileSync(path));
	const into = Buffer.alloc(4);
	const short = (end: bigint): never => {
		throw new Error(`ends at ${end}`);
	};
	await readInto(source, fileOffset(6), into, short);
	expect(into.toString()).toBe("6789");
	await expect(readInto(source, fileOffset(7), into, short)).rejects.toThrow("ends at 10");
	await expect(readInto(source, fileOffset(-1n), into, short)).rejects.toThrow("ends at 10");
	source.close();
});

test("a full disk is said in words", () => {
	const full = openSync("/dev/full", "w");
	expect(refusal(() => attemptWrite("pages-1.img", () => writeSync(full, "x")))).toBe(
		"ERR_IO pages-1.img: the disk is full; make room and run it again",
	);
});

test("a directory is removed with its files and links, and not what the links lead to", () => {
	const base = scratch();
	const path = join(base, "directory");
	mkdirSync(join(path, "new"), { recursive: true });
	writeFileSync(join(base, "precious"), "data");
	symlinkSync(join(base, "precious"), join(path, "link"));
	symlinkSync(base, join(path, "new", "folder"));
	const context = openDirectory(base);
	removeFlat(context, "directory", ["new"]);
	expect(entryIn(context, "directory")).toBeUndefined();
	expect(contentsOf(base)).toEqual({ precious: "data" });
	symlinkSync(base, path);
	expect(refusal(() => removeFlat(context, "directory"))).toBe(
		`ERR_IO ${path}: open failed with ENOTDIR (not a directory)`,
	);
	context.close();
});
