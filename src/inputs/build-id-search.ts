import { type Dirent, readdirSync } from "node:fs";
import { join } from "node:path";
import { fileOffset } from "../bytes/address.ts";
import { openFile } from "../bytes/source.ts";
import { bytesFromText, textFromBytes } from "../bytes/text.ts";
import { isKernelPath } from "../core/files.ts";
import { buildIdOfFile } from "../elf/build-id.ts";
import { isDebugOnly } from "../elf/debug-only.ts";
import { ELF_MAGIC } from "../elf/file.ts";
import { NecromancerError } from "../errors.ts";
import { realPath, resolveInRoot } from "../rights/resolve-in-root.ts";

/** Looks for the objects with given build-ids. */
export interface BuildIdSearch {
	/** A regular file with that build-id and with its code. */
	find(buildId: string): string | undefined;
	/** A directory had more in it than is looked at. */
	readonly cutShort: boolean;
}

/** Entries of one tree that are looked at. */
const MOST_ENTRIES = 200_000;

/**
 * Searches directories in their order. Each is asked first by the layouts that are made for it: `.build-id/ab/cdef…` with or
 * without `.debug` (gdb's, and Fedora's of links to the binaries), the same without `.build-id`, and debuginfod's cache
 * (`ID/executable`). Then it is walked, once, without following links.
 */
export function buildIdSearch(directories: readonly string[], most = MOST_ENTRIES): BuildIdSearch {
	const trees = directories.map((directory) => walked(realPath(directory), most));
	return {
		find: (buildId) => {
			for (const tree of trees) {
				const path = byLayout(tree.root, buildId) ?? tree.find(buildId);
				if (path !== undefined) return path;
			}
			return undefined;
		},
		get cutShort() {
			return trees.some((tree) => tree.cutShort());
		},
	};
}

function byLayout(root: string, buildId: string): string | undefined {
	const split = `${buildId.slice(0, 2)}/${buildId.slice(2)}`;
	const names = [`.build-id/${split}`, split].flatMap((name) => [name, `${name}.debug`]);
	for (const name of [...names, `${buildId}/executable`]) {
		// symbolic links may lead outside: the user trusts the directory that he names
		const path = realPath(join(root, name));
		const reached = resolveInRoot("/", path);
		if (reached?.stat.isFile() === true && identify(reached.path) === buildId) return reached.path;
	}
	return undefined;
}

function walked(root: string, most: number) {
	const known = new Map<string, string>();
	const files = entriesOf(root);
	let seen = 0;
	let cut = false;
	return {
		root,
		cutShort: () => cut,
		find: (buildId: string): string | undefined => {
			for (let found = known.get(buildId); ; found = known.get(buildId)) {
				if (found !== undefined || cut) return found;
				const next = files.next();
				if (next.done === true) return undefined;
				seen += 1;
				cut = seen >= most;
				if (next.value === undefined) continue;
				const id = identify(next.value);
				if (id !== undefined && !known.has(id)) known.set(id, next.value);
			}
		},
	};
}

/** Everything in a tree, directories breadth first: the paths of regular files, `undefined` for the rest. */
function* entriesOf(root: string): Generator<string | undefined, void, undefined> {
	const directories = [root];
	for (let directory = directories.shift(); directory !== undefined; directory = directories.shift()) {
		for (const entry of entriesIn(directory)) {
			const path = `${directory === "/" ? "" : directory}/${textFromBytes(entry.name)}`;
			if (entry.isDirectory() && !isKernelPath(`${path}/`)) directories.push(path);
			yield entry.isFile() ? path : undefined;
		}
	}
}

function entriesIn(directory: string): Dirent<Buffer>[] {
	try {
		const path = Buffer.from(bytesFromText(directory));
		// the types of Node 20 know Dirent of text only
		const entries = readdirSync(path, { withFileTypes: true, encoding: "buffer" }) as unknown as Dirent<Buffer>[];
		return entries.sort((a, b) => a.name.compare(b.name));
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code === undefined) throw error;
		return [];
	}
}

/** The build-id of an object that has its code; anything else has none. */
function identify(path: string): string | undefined {
	try {
		const source = openFile(Buffer.from(bytesFromText(path)), path);
		try {
			if (source.read(fileOffset(0), 4)?.readUInt32BE() !== ELF_MAGIC) return undefined;
			const id = buildIdOfFile(source);
			return id === undefined || isDebugOnly(source) ? undefined : id;
		} finally {
			source.close();
		}
	} catch (error) {
		if (error instanceof NecromancerError && error.code !== "ERR_HOST") return undefined;
		throw error;
	}
}
