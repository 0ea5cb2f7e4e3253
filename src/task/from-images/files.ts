import { FdTypes, type FileEntry } from "../../criu/generated/schema.ts";
import type { ImageDir } from "../../criu/image-dir.ts";
import { refuse } from "../../errors.ts";
import type { Descriptor, FileKind, Files } from "../task.ts";

/** All file entries of a directory, by id. Ids are unique across types. */
export function fileEntries(dir: ImageDir): ReadonlyMap<number, FileEntry> {
	return new Map(dir.image("files.img", "files").records.map(({ value }) => [value.id, value]));
}

/** The descriptors, directories and umask of one process. */
export function filesFromImages(dir: ImageDir, pid: number): Files {
	const entries = fileEntries(dir);
	const ids = dir.one(`ids-${pid}.img`, "ids");
	const fs = dir.one(`fs-${pid}.img`, "fs");
	const table = `fdinfo-${ids.files_id}.img`;
	const records = dir.has(table) ? dir.image(table, "fdinfo").records : [];
	const descriptors = records.map(({ value }): Descriptor => {
		const entry = entries.get(value.id);
		if (entry === undefined)
			return refuse("ERR_IMAGE_CORRUPT", {
				subject: `${dir.path}/${table}`,
				finding: `descriptor ${value.fd} names file ${value.id}`,
				expectation: "which files.img does not hold",
			});
		return { number: value.fd, closeOnExec: (value.flags & 1) !== 0, description: value.id, ...describe(entry) };
	});
	const cwd = entries.get(fs.cwd_id)?.reg?.name;
	const root = entries.get(fs.root_id)?.reg?.name;
	return {
		descriptors: descriptors.sort((a, b) => a.number - b.number),
		...(cwd === undefined ? {} : { cwd }),
		...(root === undefined ? {} : { root }),
		...(fs.umask === undefined ? {} : { umask: fs.umask }),
	};
}

const kinds: Readonly<Record<number, FileKind>> = {
	[FdTypes.REG]: "file",
	[FdTypes.PIPE]: "pipe",
	[FdTypes.FIFO]: "fifo",
	[FdTypes.INETSK]: "inet-socket",
	[FdTypes.UNIXSK]: "unix-socket",
	[FdTypes.EVENTFD]: "eventfd",
	[FdTypes.EVENTPOLL]: "epoll",
	[FdTypes.INOTIFY]: "inotify",
	[FdTypes.SIGNALFD]: "signalfd",
	[FdTypes.PACKETSK]: "packet-socket",
	[FdTypes.TTY]: "tty",
	[FdTypes.FANOTIFY]: "fanotify",
	[FdTypes.NETLINKSK]: "netlink-socket",
	[FdTypes.NS]: "namespace",
	[FdTypes.TUNF]: "tun",
	[FdTypes.EXT]: "external",
	[FdTypes.TIMERFD]: "timerfd",
	[FdTypes.MEMFD]: "memfd",
	[FdTypes.BPFMAP]: "bpf-map",
	[FdTypes.PIDFD]: "pidfd",
};

function describe(entry: FileEntry): Pick<Descriptor, "kind" | "path" | "flags" | "position"> {
	const { reg, memfd } = entry;
	const flags =
		reg ??
		entry.pipe ??
		entry.isk ??
		entry.usk ??
		entry.efd ??
		entry.epfd ??
		entry.sgfd ??
		entry.tfd ??
		memfd ??
		entry.tty;
	const position = reg?.pos ?? memfd?.pos;
	return {
		kind: kinds[entry.type] ?? "unknown",
		flags: flags?.flags ?? 0,
		...(reg === undefined ? {} : { path: reg.name }),
		...(position === undefined ? {} : { position }),
	};
}
