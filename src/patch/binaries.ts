import type { ByteSource } from "../bytes/source.ts";
import { caution, type Finding, loss } from "../finding.ts";
import { absentText, differenceText, doubtsAbout } from "../inputs/file-findings.ts";
import { NOT_HERE } from "../inputs/gone.ts";
import { judgedFiles } from "../inputs/judged-files.ts";
import { type WantedFile, wantedFiles } from "../inputs/wanted-files.ts";
import { mappedFileOf } from "../task/complete/mapped-file.ts";
import type { MappedFile } from "../task/file-identity.ts";
import type { PartialTask } from "../task/partial-task.ts";
import type { Memory } from "../task/task.ts";
import type { JudgedFile, Verdict } from "../task/verdict.ts";

/** How files on this host are reached. Paths in cores and images are hints: regular files only, opened for reading. */
export interface HostFiles {
	/** `undefined` where there is no regular file. */
	open(path: string): HostFile | undefined;
	/** Bytes of a regular file now, which may be written to meanwhile; `undefined` where there is none. */
	sizeOf?(path: string): bigint | undefined;
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
	open(path: string): (HostFile & JudgedFile) | undefined;
	/** What the core tells of a file that was mapped. */
	wanted(path: string): WantedFile | undefined;
}

/** @param donors What the donor's images tell of its mapped files. */
export function judgedHost(dead: PartialTask, donors: ReadonlyMap<string, MappedFile>, host: HostFiles): JudgedHost {
	const wanted = new Map(wantedFiles(dead).map((file) => [file.path, file]));
	const open = judgedFiles(host.open, (path) => ({
		...wanted.get(path),
		...mappedFileOf(path, dead.memory.buildIds.get(path), donors.get(path)),
	}));
	return { open, wanted: (path) => wanted.get(path) };
}

/**
 * Says of every mapped file what this host has in its place. Nothing is refused: the images may be restored on another host, and
 * whoever restores them judges again; so nothing is lost yet either.
 */
export function inspectBinaries(
	memory: Memory,
	judged: JudgedHost,
	report: (finding: Finding) => void,
): ReadonlyMap<string, Binary> {
	return new Map(
		[...memory.files].map(([path, expected]): [string, Binary] => {
			const here = judged.open(path);
			if (here === undefined) {
				report(missing(path, judged.wanted(path)));
				return [path, { expected, verdict: NOT_HERE }];
			}
			const { verdict } = here;
			if (verdict.kind === "different")
				report(caution("binary-differs", path, `${differenceText(verdict)}; restore where it is as it was`));
			for (const doubt of doubtsAbout(path, verdict)) report(doubt);
			return [path, { expected, here, verdict }];
		}),
	);
}

function missing(path: string, wanted: WantedFile | undefined): Finding {
	const deed = "restore where it is";
	if (wanted === undefined || wanted.absent === 0n)
		return caution("binary-missing", path, `${NOT_HERE.because}; ${deed}`);
	return loss("binary-missing", path, `${NOT_HERE.because}, ${absentText(wanted)}; ${deed}`);
}
