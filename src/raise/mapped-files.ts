import { refuseAll } from "../errors.ts";
import { type Finding, loss, note } from "../finding.ts";
import type { PartialTask } from "../forest/partial-task.ts";
import type { Gone, Verdict } from "../forest/verdict.ts";
import { type BuildIdSearch, buildIdSearch } from "../inputs/build-id-search.ts";
import { absentText, differenceText, doubtsAbout, placeOf } from "../inputs/file-findings.ts";
import { isGone, NOT_HERE } from "../inputs/gone.ts";
import type { OpenFiles } from "../inputs/open-files.ts";
import { type WantedFile, wantedFiles } from "../inputs/wanted-files.ts";
import { isPassing } from "../understand/donor/named-after-process.ts";
import type { Relocation } from "../understand/relocate.ts";
import { candidatesFound, candidatesIn, type FileCandidate } from "./file-candidates.ts";
import type { FileSearch, SearchPlaces } from "./file-search.ts";

export interface FoundFiles extends Relocation {
	/** Bytes of each file that was found, by its path here. */
	readonly sizes: ReadonlyMap<string, bigint>;
	/** What the judge said of it, by its path here: nobody compares it again. */
	readonly verdicts: ReadonlyMap<string, Verdict>;
	readonly findings: readonly Finding[];
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
 * Opens every file that the dead process had mapped, once, as the process's user, and proves it where that is possible: a core can
 * name any file, and what its user may not read must not get into its memory. A deleted file is looked for too, and accepted by
 * its build-id only; if it is not found, `complete` reports it.
 *
 * @throws NecromancerError ERR_BINARY_MISMATCH where files are others than those that were mapped, ERR_BINARY_MISSING where
 *   they are not here, and in both cases the core does not hold their bytes: all of them at once. ERR_USAGE for a `mapFiles` of
 *   a path that was not mapped, or to no regular file.
 */
export async function openMappedFiles(
	dead: PartialTask,
	files: OpenFiles,
	search: FileSearch,
	places: SearchPlaces,
): Promise<FoundFiles> {
	const wanted = wantedFiles(dead);
	const byId = buildIdSearch(places.search.map(({ path }) => path));
	const given = await candidatesIn(wanted, dead.name, files, search, places);
	const searched = await candidatesFound(
		wanted.filter((file) => accepted(file, given.get(file.path), search) === undefined),
		byId,
		files,
		places,
	);
	const found = new Map<string, string>();
	const sizes = new Map<string, bigint>();
	const verdicts = new Map<string, Verdict>();
	const gone = new Set<string>();
	const others = new Set<string>();
	const findings: Finding[] = [];
	const faults: Fault[] = [];
	for (const file of wanted) {
		const first = given.get(file.path) ?? NOT_HERE;
		const settled = settle(file, first, searched.get(file.path), search);
		if (settled !== undefined) {
			found.set(file.path, settled.path);
			sizes.set(settled.path, settled.size);
			verdicts.set(settled.path, settled.verdict);
			if (settled.verdict.kind === "different") others.add(file.path);
			findings.push(...findingsAbout(file, settled, places));
		} else if (file.deleted) continue;
		else if (file.absent === 0n) {
			gone.add(file.path);
			findings.push(fromCore(file, first));
		} else {
			const fault = faultOf(file, first);
			// reported with the mappings, like deleted files; what a process names after itself goes with it
			if (fault.dispensable && (search.missingFiles === "zeros" || isPassing(file.path, dead.pid))) gone.add(file.path);
			else faults.push(fault);
		}
	}
	if (faults.length > 0) refuseFaults(faults, byId);
	return { found, gone, others, findings, sizes, verdicts };
}

/** The file to map, or `undefined` when none is accepted. */
function settle(
	file: WantedFile,
	given: FileCandidate | Gone,
	searched: FileCandidate | Gone | undefined,
	search: FileSearch,
): FileCandidate | undefined {
	const first = accepted(file, given, search);
	if (first !== undefined) return first;
	if (searched !== undefined && "path" in searched && searched.verdict.kind === "same") return searched;
	const insisted = search.allowMismatch === true && !file.deleted && file.absent > 0n;
	return insisted && "path" in given ? given : undefined;
}

/** What lies where it is looked for first, if it can be the mapped one. */
function accepted(
	file: WantedFile,
	given: FileCandidate | Gone | undefined,
	{ mapFiles }: FileSearch,
): FileCandidate | undefined {
	if (given === undefined || !("path" in given)) return undefined;
	const { verdict } = given;
	if (verdict.kind === "same" && (!file.deleted || verdict.proof === "build-id")) return given;
	return verdict.kind === "plausible" && (!file.deleted || mapFiles?.has(file.path) === true) ? given : undefined;
}

function findingsAbout(
	file: WantedFile,
	{ path, verdict, changedAt }: FileCandidate,
	{ writtenAt }: SearchPlaces,
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
