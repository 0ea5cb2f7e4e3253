import { defined } from "../bytes/defined.ts";
import type { SignalOwner } from "../descriptors/description.ts";
import type { OpenFile } from "../descriptors/file.ts";
import { type Description, pathOf } from "../descriptors/kinds.ts";
import type { Terminal } from "../descriptors/terminal.ts";
import { caution, type Finding, note } from "../finding.ts";
import { type Descriptor, type Files, withDescriptions } from "../forest/files.ts";
import { type FileLock, lockText } from "../forest/locks.ts";
import type { PartialTask } from "../forest/partial-task.ts";
import { O, O_ACCMODE } from "../linux/open.ts";
import { S_IFMT, S_IFREG } from "../linux/stat.ts";
import { ownerInProc } from "../proc/own-paths.ts";
import type { MovedDonor } from "./donor/moved-donor.ts";

/** The donor's descriptors: a core knows none. Says what they are, and which offsets can only be wrong. */
export function lentFiles(
	dead: PartialTask,
	{ task: donor, pairs }: Pick<MovedDonor, "task" | "pairs">,
	report: (finding: Finding) => void,
): Files {
	const { descriptors } = donor.files;
	if (descriptors.length > 0)
		report(
			note(
				"files-from-donor",
				`${descriptors.length} descriptor${descriptors.length === 1 ? "" : "s"}`,
				descriptors
					.map(({ number, description }) => `${number}: ${pathOf(description) ?? description.kind}`)
					.join(", "),
			),
		);
	const seen = new Set<number>();
	for (const { number, description } of descriptors) {
		if (seen.has(description.id)) continue;
		seen.add(description.id);
		if (description.kind === "tty" && isWaiting(description.terminal))
			report(
				caution(
					"queued-data",
					`descriptor ${number} (${description.path})`,
					"what waited in the donor's terminal is not the dead process's: nothing waits in its own",
				),
			);
		if (description.kind !== "file") continue;
		const { path, flags, position } = description;
		const writable = (flags & O_ACCMODE) !== O.RDONLY;
		if (stoodAtEnd(description))
			report(
				caution(
					"file-offset",
					`descriptor ${number} (${path})`,
					`the donor stood at its end (${position}); writes go on at its end, wherever that is by now`,
				),
			);
		else if (writable && (flags & O.APPEND) === 0 && position > 0n)
			report(
				caution("file-offset", `descriptor ${number} (${path})`, `writes go on at the donor's offset ${position}`),
			);
	}
	const ids: SameIds = {
		process: { donor: donor.identity.pid, dead: dead.pid },
		threads: new Map(pairs.flatMap((pair) => (pair.own ? [[pair.donor.tid, pair.dead.tid] as const] : []))),
	};
	const written = writtenPaths(descriptors);
	const locks = donor.files.locks?.map((lock): FileLock => ({ ...lock, lent: true }));
	for (const lock of locks ?? [])
		report(
			caution(
				"file-locks",
				`descriptor ${lock.descriptor}`,
				`the donor held ${lockText(lock)}; that the process did is not known, and it gets it too`,
			),
		);
	return withDescriptions({ ...donor.files, ...defined({ locks }) }, (lent) => {
		const own = ofDead(lent, ids);
		return own.kind === "file" && written.has(pathOf(lent) ?? "") ? withoutSize(own) : own;
	});
}

const isWaiting = ({ input, output }: Terminal): boolean => input !== undefined || output !== undefined;

/** The path in /proc/PID of the dead process, for one in the donor's own. */
const ownName = (rest: string, donorPid: number, deadPid: number): string =>
	`/proc/${deadPid}${rest.replace(new RegExp(`^/task/${donorPid}(?=/|$)`), `/task/${deadPid}`)}`;

/** Whether a regular file's offset is to be its end: at the donor's offset, output of the dead process would be overwritten. */
const stoodAtEnd = ({ flags, position, size, ghost, unlinked, mode = S_IFREG }: OpenFile): boolean =>
	(flags & O_ACCMODE) !== O.RDONLY &&
	(flags & O.APPEND) === 0 &&
	size === position &&
	(mode & S_IFMT) === S_IFREG &&
	ghost === undefined &&
	!unlinked;

/** The ids of the donor's that are others in the dead process. */
interface SameIds {
	readonly process: { readonly donor: number; readonly dead: number };
	/** The donor's → the dead process's. */
	readonly threads: ReadonlyMap<number, number>;
}

/** The same description as the dead process is to have it. */
function ofDead(lent: Description, ids: SameIds): Description {
	const description = lent.owner === undefined ? lent : { ...lent, owner: ownerOf(lent.owner, ids) };
	if (description.kind === "tty") return { ...description, terminal: terminalOf(description.terminal, ids) };
	if (description.kind !== "file") return description;
	const { donor, dead } = ids.process;
	const owner = ownerInProc(description.path);
	const path = owner?.pid === donor ? ownName(owner.rest, donor, dead) : description.path;
	return { ...description, path, ...(stoodAtEnd(description) ? { atEnd: true as const } : {}) };
}

/** Without what waited in the donor's; the session that the donor led is the dead process's. */
function terminalOf({ input: _in, output: _out, ...terminal }: Terminal, { process }: SameIds): Terminal {
	const own = (id: number | undefined): number | undefined => (id === process.donor ? process.dead : id);
	return { ...terminal, ...defined({ session: own(terminal.session), foreground: own(terminal.foreground) }) };
}

/** Whom a signal about input goes to (fcntl(2), F_SETOWN_EX): where that was the donor, or one of its threads, it is the dead process's. */
const ownerOf = (owner: SignalOwner, { process, threads }: SameIds): SignalOwner => ({
	...owner,
	pid: owner.pid === process.donor ? process.dead : (threads.get(owner.pid) ?? owner.pid),
});

/** Of files that are open for writing. */
const writtenPaths = (descriptors: readonly Descriptor[]): ReadonlySet<string> =>
	new Set(
		descriptors.flatMap(({ description }) =>
			description.kind === "file" && (description.flags & O_ACCMODE) !== O.RDONLY ? [description.path] : [],
		),
	);

/** They may have grown since the donor's dump. */
function withoutSize({ size: _size, ...file }: OpenFile): OpenFile {
	return file;
}
