import type { OpenFile } from "../../descriptors/file.ts";
import { caution, type Finding, loss, note } from "../../finding.ts";
import { type Files, withDescriptions } from "../../forest/files.ts";
import { O, O_ACCMODE } from "../../linux/open.ts";
import { ownerInProc } from "../../proc/own-paths.ts";

/** Where programs keep what ends with them, or with the machine's uptime. */
const PASSING = /^\/(?:dev\/shm|tmp|run|var\/tmp)\//;

/** Elsewhere a smaller number in a name is as often that of a part or a version. */
const TELLING = 100;

/**
 * What a file that is named after one process would be called by another of the same program: the id of the one, where it
 * stands alone in the file's own name, is that of the other. HotSpot has /tmp/hsperfdata_USER/PID, Mono /dev/shm/mono.PID.
 */
export function namedAfter(path: string, pid: number, other: number): string {
	if (pid < TELLING && !PASSING.test(path)) return path;
	const own = path.lastIndexOf("/") + 1;
	const name = path.slice(own).replace(new RegExp(`(?<![0-9])${pid}(?![0-9])`, "g"), `${other}`);
	return `${path.slice(0, own)}${name}`;
}

/** Whether a file is one that a process makes for its own lifetime: it is named after it. Mono's statistics in /dev/shm are. */
export const isPassing = (path: string, pid: number): boolean =>
	PASSING.test(path) && namedAfter(path, pid, pid + 1) !== path;

interface OwnNames {
	readonly donorPid: number;
	readonly deadPid: number;
	/** Descriptors that the user gives a file. */
	readonly named: ReadonlySet<number>;
	/** How a path looks on this host: st_mode; `undefined` where there is nothing. */
	modeOf(path: string): number | undefined;
	/** Whether a file may be the dead process's: anybody can make one of that name in a directory that is everybody's. */
	isOwn(path: string): boolean;
}

/**
 * The descriptors with the dead process's own files for those of the donor that are named after it. Programs delete theirs at
 * their end: where neither is left, nothing stands in for it, for the dead process had it not; any other file that is gone it
 * may have had, and the user has to say.
 */
export function withOwnNames(files: Files, names: OwnNames, report: (finding: Finding) => void): Files {
	const lentTo = new Set(
		files.descriptors.flatMap(({ number, description }) => (names.named.has(number) ? [] : [description.id])),
	);
	return withDescriptions(files, (lent, number) =>
		lent.kind === "file" && lentTo.has(lent.id) ? ownFile(number, lent, names, report) : lent,
	);
}

function ownFile(
	number: number,
	file: OpenFile,
	{ donorPid, deadPid, modeOf, isOwn }: OwnNames,
	report: (finding: Finding) => void,
): OpenFile {
	const { path, unlinked, ghost } = file;
	// what has no name any more is in the donor's images, and names in /proc were moved
	if (unlinked || ghost !== undefined || ownerInProc(path) !== undefined) return file;
	const own = namedAfter(path, donorPid, deadPid);
	if (own === path) return file;
	const subject = `descriptor ${number} (${path})`;
	// how large the donor's was says nothing of it
	const { size: _size, buildId: _buildId, ...common } = file;
	if (modeOf(own) !== undefined && isOwn(own)) {
		report(note("files-from-donor", subject, `is named after the donor's process; ${own} is that of the dead process`));
		return { ...common, path: own };
	}
	if (modeOf(path) !== undefined) {
		report(
			caution(
				"files-from-donor",
				subject,
				`is named after the donor's process and may be its own; that of the dead process, ${own}, is not here`,
			),
		);
		return file;
	}
	report(
		loss(
			"files-from-donor",
			subject,
			`was named after the donor's process and is gone; that of the dead process, ${own}, is not here either: /dev/null takes its place`,
		),
	);
	const { id, owner, flags } = file;
	return {
		...{ kind: "file", id, flags: flags & (O_ACCMODE | O.APPEND | O.NONBLOCK), path: "/dev/null" },
		...{ position: 0n, unlinked: false },
		...(owner === undefined ? {} : { owner }),
	};
}
