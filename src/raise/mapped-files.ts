import { statSync } from "node:fs";
import { isKernelPath } from "../core/files.ts";
import { refuse, refuseAll } from "../errors.ts";
import { type Finding, loss, note } from "../finding.ts";
import { type BuildIdSearch, buildIdSearch } from "../inputs/build-id-search.ts";
import { absentText, differenceText, doubtsAbout, placeOf } from "../inputs/file-findings.ts";
import { closedTo, IRREGULAR, isGone, NOT_HERE, reachedByLinkOf } from "../inputs/gone.ts";
import { judge, openedFile } from "../inputs/judge.ts";
import { type WantedFile, wantedFiles } from "../inputs/wanted-files.ts";
import { ACCESS } from "../linux/fcntl.ts";
import { openRegular } from "../patch/host-files.ts";
import { mayAccess, type Reader } from "../rights/access.ts";
import { foreignLinkOwner, isBelow, realPath, resolveInRoot } from "../rights/resolve-in-root.ts";
import type { PartialTask } from "../task/partial-task.ts";
import type { Relocation } from "../task/relocate.ts";
import type { Gone, Verdict } from "../task/verdict.ts";

/** Where files that a dead process had mapped are looked for. */
export interface FileSearch {
	/** The root of the tree that the paths in the core start from; without it this host's. Nothing leads out of it. */
	readonly sysroot?: string;
	/** A path in the core → the file to take for it. */
	readonly mapFiles?: ReadonlyMap<string, string>;
	/** Directories that are searched for build-ids. */
	readonly search?: readonly string[];
	/** Take files that are known to be others. */
	readonly allowMismatch?: boolean;
	/** `zeros` replaces missing data files by what the core holds of them, and zeros. */
	readonly missingFiles?: "error" | "zeros";
	/**
	 * As whom the process will live. We may have more rights, and a core can name any file: what its user may not read must not
	 * get into its memory. Files in `mapFiles` are exempt. Absent: not checked.
	 */
	readonly reader?: Reader;
	/** When the core was written, in milliseconds since 1970: a file that changed later is not what was mapped. */
	readonly writtenAt?: number;
}

export interface FoundFiles extends Relocation {
	/** Bytes of each file that was found, by its path here. */
	readonly sizes: ReadonlyMap<string, bigint>;
	/** What the judge said of it, by its path here: nobody compares it again. */
	readonly verdicts: ReadonlyMap<string, Verdict>;
	readonly findings: readonly Finding[];
}

/** A file of this host that may be the mapped one. */
interface FileCandidate {
	readonly path: string;
	readonly verdict: Verdict;
	readonly changedAt: number;
	/** Bytes. */
	readonly size: bigint;
}

interface Fault {
	readonly kind: "missing" | "different";
	readonly subject: string;
	readonly finding: string;
	readonly expectation: string;
	/** Only data of it was mapped: `missingFiles: "zeros"` may replace it. */
	readonly dispensable: boolean;
}

/**
 * Finds every file that the dead process had mapped, and proves it where that is possible. A deleted file is searched for too,
 * and accepted by its build-id only; if it is not found, `complete` reports it.
 *
 * @throws NecromancerError ERR_BINARY_MISMATCH where files are others than those that were mapped, ERR_BINARY_MISSING where
 *   they are not here, and in both cases the core does not hold their bytes: all of them at once. ERR_USAGE for a `mapFiles` of
 *   a path that was not mapped, or to no regular file.
 */
export function findMappedFiles(dead: PartialTask, search: FileSearch): FoundFiles {
	const wanted = wantedFiles(dead);
	requireKnown(search, wanted, dead.name);
	const byId = buildIdSearch(search.search ?? []);
	const found = new Map<string, string>();
	const sizes = new Map<string, bigint>();
	const verdicts = new Map<string, Verdict>();
	const gone = new Set<string>();
	const others = new Set<string>();
	const findings: Finding[] = [];
	const faults: Fault[] = [];
	for (const file of wanted) {
		const given = candidateIn(file, search);
		const settled = settle(file, "path" in given ? given : undefined, byId, search);
		if (settled !== undefined) {
			found.set(file.path, settled.path);
			sizes.set(settled.path, settled.size);
			verdicts.set(settled.path, settled.verdict);
			if (settled.verdict.kind === "different") others.add(file.path);
			findings.push(...findingsAbout(file, settled, search));
		} else if (file.deleted) continue;
		else if (file.absent === 0n) {
			gone.add(file.path);
			findings.push(fromCore(file, given));
		} else {
			const fault = faultOf(file, given);
			// reported by `complete`, like deleted files
			if (fault.dispensable && search.missingFiles === "zeros") gone.add(file.path);
			else faults.push(fault);
		}
	}
	if (faults.length > 0) refuseFaults(faults, byId);
	return { found, gone, others, findings, sizes, verdicts };
}

/** The file to map, or `undefined` when none is accepted. */
function settle(
	file: WantedFile,
	given: FileCandidate | undefined,
	byId: BuildIdSearch,
	search: FileSearch,
): FileCandidate | undefined {
	if (given?.verdict.kind === "same" && (!file.deleted || given.verdict.proof === "build-id")) return given;
	if (given?.verdict.kind === "plausible" && (!file.deleted || search.mapFiles?.has(file.path) === true)) return given;
	const path = file.buildId === undefined ? undefined : byId.find(file.buildId);
	const searched = path === undefined ? undefined : candidateFoundAt(file, path, search);
	if (searched !== undefined && "path" in searched && searched.verdict.kind === "same") return searched;
	const insisted = search.allowMismatch === true && !file.deleted && file.absent > 0n;
	return insisted ? given : undefined;
}

function candidateIn(file: WantedFile, search: FileSearch): FileCandidate | Gone {
	const named = search.mapFiles?.get(file.path);
	if (named !== undefined) return candidateAt(file, "/", realPath(named), undefined);
	const root = search.sysroot === undefined ? "/" : realPath(search.sysroot);
	return candidateAt(file, root, file.path, search.reader);
}

/** The user who names a search directory allows its files to be read, but not those behind links out of it. */
function candidateFoundAt(file: WantedFile, path: string, { search = [], reader }: FileSearch): FileCandidate | Gone {
	const root = search.map(realPath).find((directory) => isBelow(directory, path)) ?? "/";
	return candidateAt(file, root, root === "/" ? path : path.slice(root.length), reader);
}

/** @param path From the root. */
function candidateAt(file: WantedFile, root: string, path: string, reader: FileSearch["reader"]): FileCandidate | Gone {
	const reached = resolveInRoot(root, path);
	if (reached === undefined) return NOT_HERE;
	const { stat, through } = reached;
	if (!stat.isFile() || isKernelPath(reached.inner)) return IRREGULAR;
	if (reader !== undefined && !mayAccess(reader, stat, through, ACCESS.R_OK)) return closedTo(reader.uid, "EACCES");
	const stranger = reader === undefined ? undefined : foreignLinkOwner(reached, reader.uid);
	if (stranger !== undefined) return reachedByLinkOf(stranger);
	const source = openRegular(reached.path);
	if (isGone(source)) return source;
	try {
		const verdict = judge(file, openedFile(source));
		return { path: reached.path, verdict, changedAt: stat.mtimeMs, size: source.size };
	} finally {
		source.close();
	}
}

function findingsAbout(
	file: WantedFile,
	{ path, verdict, changedAt }: FileCandidate,
	{ writtenAt }: FileSearch,
): Finding[] {
	const place = placeOf(file.path, path);
	if (verdict.kind === "different")
		return [loss("binary-differs", file.path, `${differenceText(verdict, place)}; taken all the same`)];
	return doubtsAbout(file.path, verdict, { place, changed: writtenAt !== undefined && changedAt > writtenAt });
}

function fromCore({ path, mapped }: WantedFile, given: FileCandidate | Gone): Finding {
	return note(
		"file-gone",
		path,
		`${objection(path, given)}; all ${mapped} bytes that were mapped are in the core and become private memory`,
	);
}

function objection(path: string, given: FileCandidate | Gone): string {
	if (isGone(given)) return given.because;
	const { verdict } = given;
	return verdict.kind === "different" ? differenceText(verdict, placeOf(path, given.path)) : NOT_HERE.because;
}

function faultOf(file: WantedFile, given: FileCandidate | Gone): Fault {
	const { path, hasCode } = file;
	if ("path" in given && given.verdict.kind === "different") {
		const { finding, expectation } = given.verdict;
		const place = placeOf(path, given.path);
		return { kind: "different", subject: path, finding: `${finding}${place}`, expectation, dispensable: false };
	}
	const { because, why } = isGone(given) ? given : NOT_HERE;
	return {
		kind: "missing",
		subject: path,
		finding: because,
		expectation: absentText(file),
		dispensable: !hasCode && why === "absent",
	};
}

function refuseFaults(faults: readonly Fault[], byId: BuildIdSearch): never {
	const differs = faults.some(({ kind }) => kind === "different");
	const ways =
		"name it with --map-file OLD=NEW, its tree with --sysroot DIR, or a directory that has it with --search DIR";
	const tired = byId.cutShort ? " (the search stopped before its end: name a smaller directory)" : "";
	const without = faults.some(({ dispensable }) => dispensable)
		? ", or go on without data that is gone with --missing-files zeros"
		: "";
	return refuseAll(
		differs ? "ERR_BINARY_MISMATCH" : "ERR_BINARY_MISSING",
		"mapped files",
		faults,
		`${ways}${tired}${differs ? ", or insist with --allow-mismatch" : ""}${without}`,
	);
}

/** Refuses --map-file for a path that was not mapped, or to no regular file: probably a typing error. */
function requireKnown(
	{ mapFiles = new Map(), sysroot, search = [] }: FileSearch,
	wanted: readonly WantedFile[],
	core: string,
): void {
	const named = [
		...(sysroot === undefined ? [] : [["--sysroot", sysroot]]),
		...search.map((path) => ["--search", path]),
	];
	for (const [option, path = ""] of named)
		if (!isDirectory(path))
			refuse("ERR_USAGE", {
				subject: `${option} ${path}`,
				finding: "is no directory",
				expectation: "expected one to look in",
			});
	const paths = new Set(wanted.map(({ path }) => path));
	for (const [from, to] of mapFiles) {
		const subject = `--map-file ${from}=${to}`;
		if (!paths.has(from))
			refuse("ERR_USAGE", {
				subject,
				finding: `${core} has no such file mapped`,
				expectation: "expected a path that necromancer show lists",
			});
		if (resolveInRoot("/", realPath(to))?.stat.isFile() !== true)
			refuse("ERR_USAGE", { subject, finding: `${to} is no regular file`, expectation: "expected the one to map" });
	}
}

function isDirectory(path: string): boolean {
	try {
		return statSync(path).isDirectory();
	} catch {
		return false;
	}
}
