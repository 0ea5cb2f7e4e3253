import { lstatSync, readdirSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import { type Directory, entryIn } from "../bytes/directory.ts";
import { openDirectory } from "../bytes/open-directory.ts";
import { attempt, type ByteSource, type FileWriters, sourceOn, writersOf } from "../bytes/source.ts";
import { isUnchanged, type Stamp } from "../bytes/stamp.ts";
import { refuse } from "../errors.ts";
import { type Image, readImage } from "./image.ts";
import { openImage } from "./kept-file.ts";
import { imageKinds, type KindName, type RecordOf } from "./kinds.ts";
import { isImageName, isPlainName } from "./own-names.ts";
import { directoryBudget } from "./wire/protobuf.ts";

/** The images that CRIU wrote of a process tree. Nothing of it is changed here. */
export interface ImageDir {
	/** As the user gave it. */
	readonly path: string;
	/** Held open until {@link ImageDir.close}. */
	readonly directory: Directory;
	/** Its regular files, sorted; links are not followed, folders not entered, our own work files left out. */
	readonly names: readonly string[];
	/** Bytes of all of these. */
	readonly size: bigint;
	/** Where the link `parent` of an incremental dump points. */
	readonly parent?: string;
	has(name: string): boolean;
	/** Opened on first use and kept open until {@link ImageDir.close}. */
	source(name: string): ByteSource;
	/** Read anew on each call, but for those that belong to all processes. */
	image<K extends KindName>(name: string, kind: K): Image<RecordOf<K>>;
	/** The value of an image that holds one record. */
	one<K extends KindName>(name: string, kind: K): RecordOf<K>;
	/** Who can have written the directory, and what of it was opened so far. */
	readonly writers: readonly FileWriters[];
	/** The same for all of its images, for images that are kept without being opened. */
	allWriters(): readonly FileWriters[];
	/**
	 * To be called before results are used, and before closing.
	 *
	 * @throws NecromancerError ERR_CHANGED when somebody has written to an image since it was read, or replaced it.
	 */
	requireUnchanged(): void;
	/** Closes every source it gave out. */
	close(): void;
}

/**
 * Opens a directory of images, or takes one that is open and stays so, and looks at its inventory. The methods that read throw as `readImage` does, and
 * ERR_IMAGE_MISSING for a file that is not there.
 *
 * @throws NecromancerError ERR_IO when it is no directory that can be read, ERR_IMAGE_MISSING without an inventory,
 * ERR_IMAGE_VERSION when that names another layout.
 */
export function openImageDir(from: string | Directory): ImageDir {
	if (typeof from !== "string") return imagesIn(from);
	const directory = openDirectory(from);
	try {
		const dir = imagesIn(directory);
		return {
			...dir,
			close: () => {
				dir.close();
				directory.close();
			},
		};
	} catch (error) {
		directory.close();
		throw error;
	}
}

function imagesIn(directory: Directory): ImageDir {
	const { name: path } = directory;
	const entries = attempt(path, () => readdirSync(directory.at("."), { withFileTypes: true }));
	const names = entries.filter((it) => it.isFile() && isPlainName(it.name)).map(({ name }) => name);
	names.sort();
	const sizeOf = (name: string): bigint =>
		lstatSync(directory.at(name), { bigint: true, throwIfNoEntry: false })?.size ?? 0n;
	const size = names.reduce((sum, name) => sum + attempt(path, () => sizeOf(name)), 0n);
	const known = new Set(names);
	const link = entries.find((it) => it.name === "parent" && it.isSymbolicLink());
	const open = new Map<string, ByteSource>();

	// as opened: a claim may have made the directory ours since, but not its contents
	const writers = [writersOf(directory.opened)];
	const read = new Map<string, Stamp>();
	const opened = (name: string): ByteSource => {
		if (!known.has(name)) return missing(directory, name);
		const fresh = sourceOn(openImage(directory, name), join(path, name));
		if (fresh.writers !== undefined) writers.push(fresh.writers);
		if (fresh.stamp !== undefined && !read.has(name)) read.set(name, fresh.stamp);
		return fresh;
	};
	const source = (name: string): ByteSource => {
		const kept = open.get(name);
		if (kept !== undefined) return kept;
		const fresh = opened(name);
		open.set(name, fresh);
		return fresh;
	};
	const budget = directoryBudget(size);
	const common = new Map<string, Image>();
	const image = <K extends KindName>(name: string, kind: K): Image<RecordOf<K>> => {
		const known = common.get(name);
		if (known !== undefined) return known as Image<RecordOf<K>>;
		const fresh = readAnew(name, kind);
		if (COMMON.has(kind)) common.set(name, fresh);
		return fresh;
	};
	const readAnew = <K extends KindName>(name: string, kind: K): Image<RecordOf<K>> => {
		// An image with payloads refers to its file; of the others, thousands may be read, so none stays open.
		if (imageKinds[kind].extra !== undefined || open.has(name)) return readImage(source(name), kind, budget);
		const passing = opened(name);
		try {
			return readImage(passing, kind, budget);
		} finally {
			passing.close();
		}
	};
	const dir: ImageDir = {
		path,
		directory,
		names,
		size,
		...(link === undefined ? {} : { parent: attempt(path, () => readlinkSync(directory.at("parent"))) }),
		writers,
		// by lstat: a file's owner does not change, and who may replace names is counted with the directory
		allWriters: () => [
			...writers,
			...names.filter(isImageName).flatMap((name) => {
				const stat = attempt(join(path, name), () =>
					lstatSync(directory.at(name), { bigint: true, throwIfNoEntry: false }),
				);
				return stat === undefined ? [] : [writersOf(stat)];
			}),
		],
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
		requireUnchanged: () => {
			for (const [name, first] of read) {
				const now = attempt(join(path, name), () =>
					lstatSync(directory.at(name), { bigint: true, throwIfNoEntry: false }),
				);
				if (now !== undefined && isUnchanged(first, now)) continue;
				refuse("ERR_CHANGED", {
					subject: join(path, name),
					finding: now === undefined ? "was removed while it was read" : "was changed while it was read",
					expectation: "expected it to stay as it was",
					remedy: "run it again when nobody writes to it",
				});
			}
		},
		close: () => {
			for (const kept of open.values()) kept.close();
			open.clear();
			common.clear();
		},
	};
	checkInventory(dir);
	return dir;
}

/** Kinds that are read for each process and are the same for all. */
const COMMON: ReadonlySet<KindName> = new Set([
	...(["pstree", "files", "memfd", "remap-fpath", "pipes-data", "fifo-data", "necromancer"] as const),
]);

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

function missing(directory: Directory, name: string): never {
	const stat = isPlainName(name) ? entryIn(directory, name) : undefined;
	return refuse("ERR_IMAGE_MISSING", {
		subject: directory.name,
		finding:
			stat === undefined ? `holds no ${name}` : `${name} is ${stat.isSymbolicLink() ? "a link" : "no regular file"}`,
		expectation: stat === undefined ? "expected that image" : "expected a file in the directory itself",
		remedy: "copy the whole directory, or dump the donor again",
	});
}
