import { caution, type Finding, loss, note } from "../finding.ts";
import { type Descriptor, type Files, type OpenFile, pathOf } from "../forest/files.ts";
import type { PartialTask } from "../forest/partial-task.ts";
import type { Task } from "../forest/task.ts";
import { O, O_ACCMODE } from "../linux/open.ts";
import { S_IFMT, S_IFREG } from "../linux/stat.ts";
import { ownerInProc } from "../proc/own-paths.ts";
import { waitsOn } from "./evidence/waits.ts";

/** The donor's descriptors: a core knows none. Says what they are, and which offsets can only be wrong. */
export function lentFiles(dead: PartialTask, donor: Task, report: (finding: Finding) => void): Files {
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
		if (seen.has(description.id) || description.kind !== "file") continue;
		seen.add(description.id);
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
	reportMissing(dead, donor, report);
	return {
		...donor.files,
		descriptors: ungrown(descriptors.map((descriptor) => ofDead(descriptor, donor.identity.pid, dead.pid))),
	};
}

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

/** The same description as the dead process is to have it. */
function ofDead(descriptor: Descriptor, donorPid: number, deadPid: number): Descriptor {
	const { description } = descriptor;
	if (description.kind !== "file") return descriptor;
	const owner = ownerInProc(description.path);
	const path = owner?.pid === donorPid ? ownName(owner.rest, donorPid, deadPid) : description.path;
	return {
		...descriptor,
		description: { ...description, path, ...(stoodAtEnd(description) ? { atEnd: true as const } : {}) },
	};
}

/** Drops the expected size of files open for writing: they may have grown since the donor's dump. */
function ungrown(descriptors: readonly Descriptor[]): readonly Descriptor[] {
	const written = new Set(
		descriptors.flatMap(({ description }) =>
			description.kind === "file" && (description.flags & O_ACCMODE) !== O.RDONLY ? [description.path] : [],
		),
	);
	return descriptors.map((descriptor) => {
		const { description } = descriptor;
		if (description.kind !== "file" || !written.has(description.path)) return descriptor;
		const { size: _size, ...rest } = description;
		return { ...descriptor, description: rest };
	});
}

/** Reports fds that a thread was waiting on and the donor has not: the call will fail with EBADF. */
function reportMissing(dead: PartialTask, donor: Task, report: (finding: Finding) => void): void {
	const open = new Set(donor.files.descriptors.map(({ number }) => number));
	const missing = new Map<number, string[]>();
	for (const thread of dead.threads)
		for (const { call, descriptor } of waitsOn(thread, dead.memory)) {
			if (open.has(descriptor)) continue;
			missing.set(descriptor, [...(missing.get(descriptor) ?? []), `thread ${thread.tid} in ${call}`]);
		}
	for (const [descriptor, waiting] of missing)
		report(
			loss(
				"files-from-donor",
				`descriptor ${descriptor}`,
				`${waiting.join(", ")} waits on it, and the donor has none of that number`,
			),
		);
}
