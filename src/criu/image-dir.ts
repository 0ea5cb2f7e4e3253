import { lstatSync, readdirSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import { attempt, type ByteSource, openFile } from "../bytes/source.ts";
import { refuse } from "../errors.ts";
import { type Image, readImage } from "./image.ts";
import { imageKinds, type KindName, type RecordOf } from "./kinds.ts";
import { isPlainName } from "./own-names.ts";

/** The images that CRIU wrote of a process tree. Nothing of it is changed here. */
export interface ImageDir {
	/** As the user gave it. */
	readonly path: string;
	/** Its regular files, sorted; links are not followed, folders not entered, our own work files left out. */
	readonly names: readonly string[];
	/** Where the link `parent` of an incremental dump points. */
	readonly parent?: string;
	has(name: string): boolean;
	/** Opened on first use and kept open until {@link ImageDir.close}. */
	source(name: string): ByteSource;
	/** Read anew on each call. */
	image<K extends KindName>(name: string, kind: K): Image<RecordOf<K>>;
	/** The value of an image that holds one record. */
	one<K extends KindName>(name: string, kind: K): RecordOf<K>;
	/** Closes every source it gave out. */
	close(): void;
}

/**
 * Opens a directory of images and looks at its inventory. The methods that read throw as `readImage` does, and
 * ERR_IMAGE_MISSING for a file that is not there.
 *
 * @throws NecromancerError ERR_IO when it is no directory that can be read, ERR_IMAGE_MISSING without an inventory,
 * ERR_IMAGE_VERSION when that names another layout.
 */
export function openImageDir(path: string): ImageDir {
	const entries = attempt(path, () => readdirSync(path, { withFileTypes: true }));
	const names = entries.filter((it) => it.isFile() && isPlainName(it.name)).map(({ name }) => name);
	names.sort();
	const known = new Set(names);
	const link = entries.find((it) => it.name === "parent" && it.isSymbolicLink());
	const open = new Map<string, ByteSource>();

	const opened = (name: string): ByteSource => (known.has(name) ? openFile(join(path, name)) : missing(path, name));
	const source = (name: string): ByteSource => {
		const kept = open.get(name);
		if (kept !== undefined) return kept;
		const fresh = opened(name);
		open.set(name, fresh);
		return fresh;
	};
	const image = <K extends KindName>(name: string, kind: K): Image<RecordOf<K>> => {
		// An image with payloads refers to its file; of the others, thousands may be read, so none stays open.
		if (imageKinds[kind].extra !== undefined || open.has(name)) return readImage(source(name), kind);
		const passing = opened(name);
		try {
			return readImage(passing, kind);
		} finally {
			passing.close();
		}
	};
	const dir: ImageDir = {
		path,
		names,
		...(link === undefined ? {} : { parent: attempt(path, () => readlinkSync(join(path, "parent"))) }),
		has: (name) => known.has(name),
		source,
		image,
		one: (name, kind) => {
			const [first, ...others] = image(name, kind).records;
			if (first !== undefined && others.length === 0) return first.value;
			return refuse("ERR_IMAGE_CORRUPT", {
				subject: join(path, name),
				finding: first === undefined ? "holds no record" : `holds ${others.length + 1} records`,
				expectation: "expected one",
			});
		},
		close: () => {
			for (const kept of open.values()) kept.close();
			open.clear();
		},
	};
	checkInventory(dir);
	return dir;
}

const INVENTORY = "inventory.img";

function checkInventory(dir: ImageDir): void {
	if (!dir.has(INVENTORY)) {
		refuse("ERR_IMAGE_MISSING", {
			subject: dir.path,
			finding: `holds no ${INVENTORY}`,
			expectation: "expected the images of a dump that was finished",
			remedy: "name the directory that criu dump -D was given, or dump the donor again",
		});
	}
	const { img_version } = dir.one(INVENTORY, "inventory");
	if (img_version !== 2) {
		refuse("ERR_IMAGE_VERSION", {
			subject: join(dir.path, INVENTORY),
			finding: `img_version is ${img_version}`,
			expectation: "expected 2",
			remedy: "dump the donor again with CRIU 4.2",
		});
	}
}

function missing(path: string, name: string): never {
	const stat = isPlainName(name) ? lstatSync(join(path, name), { throwIfNoEntry: false }) : undefined;
	return refuse("ERR_IMAGE_MISSING", {
		subject: path,
		finding:
			stat === undefined ? `holds no ${name}` : `${name} is ${stat.isSymbolicLink() ? "a link" : "no regular file"}`,
		expectation: stat === undefined ? "expected that image" : "expected a file in the directory itself",
		remedy: "copy the whole directory, or dump the donor again",
	});
}
