import { execFileSync } from "node:child_process";
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, it } from "vitest";
import { buildIdSearch } from "../../../src/inputs/build-id-search.ts";
import { debugOnly, LIBC_BUILD_ID as ID, EXE_BUILD_ID as OTHER, program } from "../../support/builders/pair.ts";
import { scratch } from "../../support/scratch.ts";

const split = `${ID.slice(0, 2)}/${ID.slice(2)}`;

function put(root: string, name: string, bytes: Buffer = program(ID, 1)): string {
	const path = join(root, name);
	mkdirSync(dirname(path), { recursive: true });
	writeFileSync(path, bytes);
	return path;
}

describe("a search for a build-id", () => {
	it.each([`.build-id/${split}`, `.build-id/${split}.debug`, split, `${ID}/executable`, "deep/er/lib.so.1", "a"])(
		"finds %s",
		(name) => {
			const root = scratch();
			put(root, "0/other", program(OTHER, 1));
			const path = put(root, name);
			expect(buildIdSearch([root]).find(ID)).toBe(path);
		},
	);

	it("follows the links of a layout to where they lead", () => {
		const [root, elsewhere] = [scratch(), scratch()];
		const path = put(elsewhere, "libx.so");
		mkdirSync(join(root, ".build-id", ID.slice(0, 2)), { recursive: true });
		symlinkSync(path, join(root, `.build-id/${split}`));
		expect(buildIdSearch([root]).find(ID)).toBe(path);
	});

	it("takes the first directory that has it, and only objects that are whole", () => {
		const [first, second] = [scratch(), scratch()];
		put(first, `.build-id/${split}.debug`, debugOnly(ID));
		put(first, "x.debug", debugOnly(ID));
		const path = put(second, "x");
		const search = buildIdSearch([first, join(first, "gone"), second]);
		expect(search.find(ID)).toBe(path);
		expect(search.find(OTHER)).toBeUndefined();
		expect(search.find(ID)).toBe(path);
	});

	it("takes a layout's word for nothing", () => {
		const root = scratch();
		put(root, `.build-id/${split}`, program(OTHER, 1));
		expect(buildIdSearch([root]).find(ID)).toBeUndefined();
	});

	it("passes over FIFOs, links in circles, and files that are no objects", () => {
		const root = scratch();
		execFileSync("mkfifo", [join(root, "libc.so.6")]);
		symlinkSync(".", join(root, "loop"));
		put(root, "text", Buffer.from("\x7fELF but not much more"));
		put(root, "empty", Buffer.alloc(0));
		const path = put(root, "z/lib");
		const search = buildIdSearch([root]);
		expect(search.find(ID)).toBe(path);
		expect(search.cutShort).toBe(false);
	});

	it("stops when it has seen enough", () => {
		const root = scratch();
		for (let i = 0; i < 10; i++) put(root, `file ${i}`, Buffer.of(i));
		put(root, "file x");
		const search = buildIdSearch([root], 5);
		expect(search.find(ID)).toBeUndefined();
		expect(search.cutShort).toBe(true);
		expect(buildIdSearch([root], 11).find(ID)).toBe(join(root, "file x"));
	});
});
