import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { address, fileOffset } from "../../../src/bytes/address.ts";
import { openDirectory } from "../../../src/bytes/open-directory.ts";
import { openFile } from "../../../src/bytes/source.ts";
import type { ImageDir } from "../../../src/criu/image-dir.ts";
import type { NewImages } from "../../../src/criu/store/new-images.ts";
import { number, word } from "../witness/wire.ts";

/**
 * A donor and the draft that replaces it, of which a writer of directories needs to understand nothing: files kept,
 * kept under another name, swapped, edited, new and dropped; pages from a core. As plain data, for the child processes
 * of the kill sweep too (`patch-child.mjs`).
 */
export interface Scene {
	readonly core: string;
	readonly donor: string;
	readonly copies: Readonly<Record<string, string>>;
	readonly images: Readonly<Record<string, string>>;
	/** In pages. */
	readonly runs: readonly { readonly start: number; readonly length: number; readonly offset: number }[];
}

const PAGE = 4096;
const page = (letter: string): string => letter.repeat(PAGE);
const text = (bytes: readonly number[]): string => Buffer.from(bytes).toString("latin1");

/** What the donor holds, by name. */
export const oldFiles: Readonly<Record<string, string>> = {
	"inventory.img": "inventory of both",
	"pstree.img": "old tree",
	"core-100.img": "old core",
	"mm-100.img": "old mm",
	"ids-100.img": "ids of both",
	"fs-100.img": "fs of both",
	"files.img": "old files",
	"pagemap-100.img": "old pagemap",
	"pages-1.img": "old pages".repeat(1000),
	"pages-2.img": page("s"),
	"pagemap-shmem-5.img": "shared",
	"fdinfo-2.img": "two",
	"fdinfo-3.img": "three",
	"stats-dump": "statistics",
};

const entry = (start: number, pages: number): string => {
	const record = [...number(1, start * PAGE), ...number(2, pages), ...number(4, 4), ...number(5, pages)];
	return text([...word(record.length), ...record]);
};

/** What the draft comes to, made by hand. */
export const newFiles: Readonly<Record<string, string>> = {
	"inventory.img": "inventory of both",
	"pstree.img": "new tree",
	"core-200.img": "new core",
	"core-201.img": "new thread",
	"mm-200.img": "new mm",
	"ids-200.img": "ids of both",
	"fs-200.img": "fs of both",
	"files.img": "new files",
	"pagemap-200.img":
		text([...word(0x54564319), ...word(0x56084025), ...word(2), ...number(1, 1)]) + entry(16, 2) + entry(20, 1),
	"pages-1.img": page("a") + page("b") + page("c"),
	"pages-2.img": page("s"),
	"pagemap-shmem-5.img": "shared",
	"fdinfo-2.img": "three",
	"fdinfo-3.img": "two",
};

const edited = ["pstree.img", "core-200.img", "core-201.img", "mm-200.img", "files.img"];

/** Writes core and donor below `directory`. */
export function makeScene(directory: string): Scene {
	const core = join(directory, "core");
	const donor = join(directory, "images");
	writeFileSync(core, `head${page("a")}${page("b")}${"\0".repeat(2 * PAGE)}${page("c")}`);
	mkdirSync(donor);
	for (const [name, content] of Object.entries(oldFiles)) writeFileSync(join(donor, name), content);
	return {
		core,
		donor,
		copies: {
			"inventory.img": "inventory.img",
			"ids-200.img": "ids-100.img",
			"fs-200.img": "fs-100.img",
			"pages-2.img": "pages-2.img",
			"pagemap-shmem-5.img": "pagemap-shmem-5.img",
			"fdinfo-2.img": "fdinfo-3.img",
			"fdinfo-3.img": "fdinfo-2.img",
		},
		images: Object.fromEntries(edited.map((name) => [name, newFiles[name] ?? ""])),
		runs: [{ start: 16, length: 5, offset: 4 }],
	};
}

/** The scene as the arguments of a writer. */
export function play(scene: Scene): { readonly draft: NewImages; readonly donor: ImageDir; close(): void } {
	const source = openFile(scene.core);
	const donor = donorAt(scene.donor);
	const runs = scene.runs.map(({ start, length, offset }) => ({
		start: address(BigInt(start * PAGE)),
		length: BigInt(length * PAGE),
		source,
		offset: fileOffset(offset),
		available: BigInt(length * PAGE),
		baseline: "zero" as const,
		flags: 4,
	}));
	const images = Object.entries(scene.images).map(([name, content]) => [name, [Buffer.from(content)]] as const);
	return {
		draft: {
			copies: new Map(Object.entries(scene.copies)),
			images: new Map(images),
			pages: [{ pages: "pages-1.img", pagemap: "pagemap-200.img", kind: "task", pagesId: 1, runs }],
		},
		donor,
		close: () => {
			source.close();
			donor.close();
		},
	};
}

/** An image directory whose images nobody looks at. */
export function donorAt(path: string, parent?: string): ImageDir {
	const directory = openDirectory(path);
	const names = readdirSync(path).filter((name) => !name.startsWith(".necromancer"));
	const unread = (): never => {
		throw new Error("the writer of a directory read an image");
	};
	const methods = { has: (name: string) => names.includes(name), source: unread, image: unread, one: unread };
	return {
		path,
		directory,
		names,
		size: 0n,
		...(parent === undefined ? {} : { parent }),
		...methods,
		writers: [],
		allWriters: () => [],
		requireUnchanged: () => {},
		close: directory.close,
	};
}

/** `old`, `new`, or how the visible files differ from both: `mixed`, which must show no inventory. */
export function stateOf(contents: Readonly<Record<string, string>>): "old" | "new" | "mixed" | "mixed with inventory" {
	const visible = Object.fromEntries(Object.entries(contents).filter(([name]) => !name.startsWith(".necromancer")));
	if (same(visible, oldFiles)) return "old";
	if (same(visible, newFiles)) return "new";
	return visible["inventory.img"] === undefined ? "mixed" : "mixed with inventory";
}

const same = (a: Readonly<Record<string, string>>, b: Readonly<Record<string, string>>): boolean =>
	Object.keys(a).length === Object.keys(b).length && Object.entries(a).every(([name, content]) => b[name] === content);
