import type { ByteSource } from "../bytes/source.ts";
import { caution, type Finding, loss } from "../finding.ts";
import type { MappedFile } from "../forest/file-identity.ts";
import type { PartialTask } from "../forest/partial-task.ts";
import type { Memory } from "../forest/task.ts";
import type { Gone, JudgedFile, Verdict } from "../forest/verdict.ts";
import { absentText, differenceText, doubtsAbout } from "../inputs/file-findings.ts";
import { isGone, NOT_HERE } from "../inputs/gone.ts";
import { judgedFiles } from "../inputs/judged-files.ts";
import { type WantedFile, wantedFiles } from "../inputs/wanted-files.ts";
import type { OpenObject } from "../understand/evidence/program-objects.ts";
import { mappedFileOf } from "../understand/mapped-file.ts";

/** How files on this host are reached. Paths in cores and images are hints: regular files only, opened for reading. */
export interface HostFiles {
	/** Why there is none to open, where there is none; nothing where nothing is there. */
	open(path: string): HostFile | Gone | undefined;
	/** Bytes of a regular file now, which may be written to meanwhile; `undefined` where there is none. */
	sizeOf?(path: string): bigint | undefined;
	/** Whose it is; `undefined` where there is none. */
	ownerOf?(path: string): number | undefined;
}

export interface HostFile {
	readonly source: ByteSource;
	/** st_mode. */
	readonly mode: number;
}

/** A file that the dead process had mapped, and what this host has in its place. */
export interface Binary {
	readonly expected: MappedFile;
	readonly here?: HostFile;
	readonly verdict: Verdict;
}

/** This host's files as a dead process's, each opened and judged once. */
export interface JudgedHost {
	judged(path: string): (HostFile & JudgedFile) | Gone;
	readonly open: OpenObject;
	/** What the core tells of a file that was mapped. */
	wanted(path: string): WantedFile | undefined;
}

/** @param donors What the donor's images tell of its mapped files. */
export function judgedHost(dead: PartialTask, donors: ReadonlyMap<string, MappedFile>, host: HostFiles): JudgedHost {
	const wanted = new Map(wantedFiles(dead).map((file) => [file.path, file]));
	const judged = judgedFiles(
		(path) => host.open(path) ?? NOT_HERE,
		(path) => ({
			...wanted.get(path),
			...mappedFileOf(path, dead.memory.buildIds.get(path), donors.get(path)),
		}),
	);
	return {
		judged,
		open: (path) => {
			const here = judged(path);
			return isGone(here) ? undefined : here;
		},
		wanted: (path) => wanted.get(path),
	};
}

/**
 * Says of every mapped file what this host has in its place. Nothing is refused: the images may be restored on another host, and
 * whoever restores them judges again; so nothing is lost yet either.
 *
 * @param writtenAt When the core was written, nanoseconds since 1970, where that is known.
 */
export function inspectBinaries(
	memory: Memory,
	host: JudgedHost,
	report: (finding: Finding) => void,
	writtenAt?: bigint,
): ReadonlyMap<string, Binary> {
	return new Map(
		[...memory.files].map(([path, expected]): [string, Binary] => {
			const here = host.judged(path);
			if (isGone(here)) {
				report(missing(path, here, host.wanted(path)));
				return [path, { expected, verdict: here }];
			}
			const { verdict, source } = here;
			if (verdict.kind === "different")
				report(caution("binary-differs", path, `${differenceText(verdict)}; restore where it is as it was`));
			const changed = writtenAt !== undefined && (source.stamp?.mtimeNs ?? 0n) > writtenAt;
			for (const doubt of doubtsAbout(path, verdict, { changed })) report(doubt);
			return [path, { expected, here, verdict }];
		}),
	);
}

function missing(path: string, { because }: Gone, wanted: WantedFile | undefined): Finding {
	const deed = "restore where it is";
	if (wanted === undefined || wanted.absent === 0n) return caution("binary-missing", path, `${because}; ${deed}`);
	return loss("binary-missing", path, `${because}, ${absentText(wanted)}; ${deed}`);
}
