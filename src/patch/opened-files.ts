import type { EventpollTfdEntry, FdinfoEntry, FileEntry } from "../criu/wire/generated/schema.ts";
import { caution, type Finding } from "../finding.ts";
import type { EpollTarget, Files, OpenFile } from "../forest/files.ts";
import { FD_CLOEXEC } from "../linux/fcntl.ts";
import type { HostFiles } from "./binaries.ts";

/** The descriptors with offsets "at the end of file" replaced by the file's size now: images can only hold a number. */
export function withCurrentEnds(files: Files, host: HostFiles, report: (finding: Finding) => void): Files {
	const known = new Map<number, OpenFile>();
	const descriptors = files.descriptors.map((descriptor) => {
		const { number, description } = descriptor;
		if (description.kind !== "file" || description.atEnd !== true) return descriptor;
		const moved = known.get(description.id) ?? atEndOf(description, host, number, report);
		known.set(description.id, moved);
		return { ...descriptor, description: moved };
	});
	return { ...files, descriptors };
}

function atEndOf(file: OpenFile, host: HostFiles, number: number, report: (finding: Finding) => void): OpenFile {
	const { atEnd: _atEnd, ...rest } = file;
	const { path, position } = file;
	const size = host.sizeOf?.(path);
	const say = (text: string): void => report(caution("file-offset", `descriptor ${number} (${path})`, text));
	if (size === undefined) {
		say(`is not on this host: the images keep the donor's offset ${position}, and what was written behind it is lost`);
		return rest;
	}
	say(`the images have its end of now, ${size}: what is written to it until they are restored is written over`);
	return { ...rest, position: size };
}

/** The donor's records under the numbers that its descriptors have in the dead process; the same where these are its own. */
export function withNumbers(records: readonly FdinfoEntry[], { descriptors }: Files): readonly FdinfoEntry[] {
	const files = new Map(records.map(({ fd, id }) => [fd, id]));
	if (descriptors.every(({ number, description }) => files.get(number) === description.id)) return records;
	const byFile = new Map(records.map((record) => [record.id, record]));
	return descriptors.flatMap(({ number, closeOnExec, description }) => {
		const record = byFile.get(description.id);
		return record === undefined ? [] : [{ ...record, fd: number, flags: closeOnExec ? FD_CLOEXEC : 0 }];
	});
}

/** The donor's file entries with the names and offsets of the dead process's open files, and what its epoll instances watch. */
export function withOpenedFiles(entries: readonly FileEntry[], { descriptors }: Files): FileEntry[] {
	const opened = new Map(descriptors.map(({ description }) => [description.id, description]));
	return entries.map((entry) => {
		const { id, reg } = entry;
		const description = opened.get(id);
		if (entry.epfd !== undefined && description?.kind === "epoll")
			return { ...entry, epfd: { ...entry.epfd, tfd: watched(entry.epfd.tfd, description.targets) } };
		if (reg === undefined || description?.kind !== "file") return entry;
		// an unlinked file's entry has CRIU's name for it
		const name = description.unlinked || !description.path.startsWith("/proc/") ? reg.name : description.path;
		if (name === reg.name && description.position === reg.pos) return entry;
		return { ...entry, reg: { ...reg, name, pos: description.position } };
	});
}

/** Unchanged where nothing was moved: the donor's records say besides which files they were. */
function watched(records: readonly EventpollTfdEntry[], targets: readonly EpollTarget[]): readonly EventpollTfdEntry[] {
	const same = ({ number, data }: EpollTarget, i: number): boolean =>
		records[i]?.tfd === number && records[i].data === data;
	if (records.length === targets.length && targets.every(same)) return records;
	return targets.map(({ number, events, data }) => ({ id: 0, tfd: number, events, data }));
}
