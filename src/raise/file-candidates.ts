import { resolve } from "node:path";
import { isKernelPath } from "../core/files.ts";
import { NecromancerError, refuse } from "../errors.ts";
import type { Gone, Verdict } from "../forest/verdict.ts";
import type { BuildIdSearch } from "../inputs/build-id-search.ts";
import { IRREGULAR, UNOPENED } from "../inputs/gone.ts";
import { judge } from "../inputs/judge.ts";
import type { OpenFiles, OwnNode } from "../inputs/open-files.ts";
import { CLOSED, goneOf, isOpened, NOTHING, type NoNode, type TreeRoot } from "../inputs/open-nodes.ts";
import type { WantedFile } from "../inputs/wanted-files.ts";
import { ACCESS } from "../linux/fcntl.ts";
import { S_IFMT, S_IFREG } from "../linux/stat.ts";
import { isBelow } from "../rights/resolve-in-root.ts";
import type { FileSearch, SearchPlaces } from "./file-search.ts";

/** A file of this host that may be the mapped one. */
export interface FileCandidate {
	/** Its path here. */
	readonly path: string;
	readonly verdict: Verdict;
	/** Nanoseconds since 1970. */
	readonly changedAt: bigint;
	/** Bytes. */
	readonly size: bigint;
}

/** By the path that the dead process had it under. */
export type Candidates = ReadonlyMap<string, FileCandidate | Gone>;

/** Under the paths that were mapped, below the sysroot, or as they are named. */
export async function candidatesIn(
	wanted: readonly WantedFile[],
	core: string,
	files: OpenFiles,
	search: FileSearch,
	{ sysroot, trust }: SearchPlaces,
): Promise<Candidates> {
	const named = await namedFiles(wanted, core, files, search);
	const paths = wanted.filter(({ path }) => !named.has(path)).map(({ path }) => ({ path, access: ACCESS.R_OK }));
	const nodes = await usersNodes(paths, files, sysroot, trust);
	return new Map(
		wanted.map((file): [string, FileCandidate | Gone] => {
			const own = named.get(file.path);
			if (own !== undefined) return [file.path, candidateOf(file, own, undefined, files)];
			return [file.path, candidateOf(file, nodes.get(file.path), sysroot, files)];
		}),
	);
}

/** By build-id. The user who names a directory allows its files to be read, but not those behind links out of it. */
export async function candidatesFound(
	wanted: readonly WantedFile[],
	byId: BuildIdSearch,
	files: OpenFiles,
	{ search, trust }: SearchPlaces,
): Promise<Candidates> {
	const byTree = new Map<TreeRoot | undefined, { readonly file: WantedFile; readonly path: string }[]>();
	for (const file of wanted) {
		const path = file.buildId === undefined ? undefined : byId.find(file.buildId);
		if (path === undefined) continue;
		const root = search.find((tree) => tree.path !== "/" && isBelow(tree.path, path));
		byTree.set(root, [...(byTree.get(root) ?? []), { file, path: path.slice(root?.path.length ?? 0) }]);
	}
	const candidates = new Map<string, FileCandidate | Gone>();
	for (const [root, found] of byTree) {
		const paths = [...new Set(found.map(({ path }) => path))].map((path) => ({ path, access: ACCESS.R_OK }));
		const nodes = await usersNodes(paths, files, root, trust);
		for (const { file, path } of found) candidates.set(file.path, candidateOf(file, nodes.get(path), root, files));
	}
	return candidates;
}

async function usersNodes(
	wanted: readonly { readonly path: string; readonly access: number }[],
	files: OpenFiles,
	root: TreeRoot | undefined,
	trust = false,
): Promise<ReadonlyMap<string, OwnNode | NoNode>> {
	const nodes = new Map(await files.asUser(wanted, root));
	if (!trust || files.opener.same) return nodes;
	for (const want of wanted) {
		const found = nodes.get(want.path) ?? NOTHING;
		if (isOpened(found) || !CLOSED.includes(found.errno)) continue;
		const node = await files.lend(want, () => true, root);
		if (node !== undefined) nodes.set(want.path, node);
	}
	return nodes;
}

function candidateOf(
	file: WantedFile,
	node: OwnNode | NoNode = NOTHING,
	root: TreeRoot | undefined,
	files: OpenFiles,
): FileCandidate | Gone {
	if (!isOpened(node)) return goneOf(node, files.opener.user.uid);
	if ((node.mode & S_IFMT) !== S_IFREG || isKernelPath(node.at)) return IRREGULAR;
	const path = `${root === undefined || root.path === "/" ? "" : root.path}${node.at}`;
	const source = contentIn(files, node, path);
	if (source === undefined) return UNOPENED;
	const verdict = judge(file, { ...files.opened(node, path), source });
	return { path, verdict, changedAt: node.modified, size: node.size };
}

function contentIn(files: OpenFiles, node: OwnNode, path: string) {
	try {
		return files.content(node, path);
	} catch (error) {
		if (error instanceof NecromancerError && error.code !== "ERR_HOST") return undefined;
		throw error;
	}
}

/**
 * The files of --map-file, opened as whoever names them.
 *
 * @throws NecromancerError ERR_USAGE for a path that was not mapped, or to no regular file: probably a typing error.
 */
async function namedFiles(
	wanted: readonly WantedFile[],
	core: string,
	files: OpenFiles,
	{ mapFiles = new Map() }: FileSearch,
): Promise<ReadonlyMap<string, OwnNode>> {
	const paths = new Set(wanted.map(({ path }) => path));
	const named = [...mapFiles].map(([from, to]) => ({ from, to, path: resolve(to) }));
	const subjectOf = ({ from, to }: { readonly from: string; readonly to: string }): string =>
		`--map-file ${from}=${to}`;
	for (const it of named)
		if (!paths.has(it.from))
			refuse("ERR_USAGE", {
				subject: subjectOf(it),
				finding: `${core} has no such file mapped`,
				expectation: "expected a path that necromancer show lists",
			});
	const distinct = [...new Set(named.map(({ path }) => path))];
	const nodes = await files.asCaller(distinct.map((path) => ({ path, access: 0 })));
	return new Map(
		named.map((it): [string, OwnNode] => {
			const node = nodes.get(it.path);
			if (!isOpened(node) || (node.mode & S_IFMT) !== S_IFREG)
				return refuse("ERR_USAGE", {
					subject: subjectOf(it),
					finding: `${it.to} is no regular file`,
					expectation: "expected the one to map",
				});
			files.give(node);
			return [it.from, node];
		}),
	);
}
