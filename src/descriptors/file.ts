import { defined } from "../bytes/defined.ts";
import { buildIdText, buildIdWords } from "../criu/build-id.ts";
import { FdTypes, type FileEntry, type RegFileEntry } from "../criu/wire/generated/schema.ts";
import { caution, type Finding, loss, note } from "../finding.ts";
import { EINVAL } from "../linux/errno.ts";
import { ACCESS, AT_FDCWD, SEEK } from "../linux/fcntl.ts";
import { O, O_ACCMODE } from "../linux/open.ts";
import { majorOf, S_IFCHR, S_IFDIR, S_IFLNK, S_IFMT, S_IFREG } from "../linux/stat.ts";
import { withoutDeleted } from "../proc/deleted.ts";
import { isOfThread, otherInProc, ownerInProc, ownName, ownProcPath } from "../proc/own-paths.ts";
import { cellDatum, pathDatum } from "../program/data.ts";
import type { StepOptions } from "../program/program.ts";
import type { Ask, Look, OpenDescriptor } from "./ask.ts";
import type { DescriptionCommon } from "./description.ts";
import { commonFrom, type EntryOpening, NO_OWNER, partOf, reserved } from "./entries.ts";
import type { DescriptorKind, Sighting } from "./kind.ts";
import type { Late } from "./late.ts";
import type { MappedFile } from "./mapped-file.ts";
import { byOf, openByName, openNode } from "./node.ts";
import { addDuplicate, addNew, type FdAllocator, openFlags, type Slot } from "./steps.ts";

/** A regular file, a directory or a device, reached by its name; and how it looked. */
export interface OpenFile extends DescriptionCommon, MappedFile {
	readonly kind: "file";
	/** Bytes; a directory's cookie. */
	readonly position: bigint;
	/** Its offset was the end of the file, and will be the end at the restore. */
	readonly atEnd?: true;
	/** It had lost its name when it was dumped. */
	readonly unlinked: boolean;
	/** Id of the `GhostFile`, in the task's memory, that has its content; absent where nobody saved it. */
	readonly ghost?: number;
	/** Another process that comes back with it, of whom it tells (proc(5)). */
	readonly about?: number;
}

export const file: DescriptorKind<OpenFile> = {
	images: {
		types: [FdTypes.REG],
		from: (entry, images) => {
			const reg = partOf(entry, entry.reg, images);
			const link = images.ghosts.link(entry.id);
			const ghost = (images.ghosts.ghost(entry.id) ?? images.ghosts.directory(entry.id))?.id;
			return {
				...{ kind: "file", ...commonFrom(reg), ...looksOf(reg), position: reg.pos },
				...defined({ path: link }),
				unlinked: link === undefined && images.ghosts.unlinked(entry.id),
				...defined({ ghost, about: otherInProc(link ?? reg.name, images.pid, images.together) }),
			};
		},
		to: (description, writer) => {
			const { id, flags, path, unlinked, ghost, mode = 0, position } = description;
			if (ghost !== undefined) writer.lost(id, ghost);
			else if (unlinked && !writer.lostNode(id, path, mode)) return reserved(id, `the deleted file ${path}`, writer);
			return regularFile(id, description, { flags, position, owner: writer.owner });
		},
	},
	living: {
		see: (open, look) => {
			const { link, stat } = open;
			const type = Number(stat.mode) & S_IFMT;
			const isMemory = type === S_IFCHR && majorOf(stat.rdev) === MEMORY_DEVICES;
			if (!link.startsWith("/") || !(isMemory || OPENED.includes(type))) return undefined;
			if (look.leadsTo(link, stat)) return fileAt(link, open, look);
			const { path } = withoutDeleted(link);
			if (type === S_IFREG && look.isMessageQueue(open)) return nowhere(`the POSIX message queue ${path}`);
			if (type === S_IFDIR && stat.nlink === 0n) return ghostAt(path, open);
			if (type !== S_IFREG) return nowhere(`the deleted ${NAMES.get(type) ?? "device"} ${path}`);
			const other = look.otherName(path, stat);
			return other === undefined ? ghostAt(path, open) : fileAt(other, open, look);
		},
	},
	making: {
		unopenable: ({ path, unlinked, ghost }) =>
			unlinked && ghost === undefined ? `the deleted file ${path}` : undefined,
		open: openFile,
		arm: openAbout,
		late: ({ about }) => about !== undefined,
		named: true,
		files: (file) =>
			file.ghost === undefined && file.about === undefined
				? [{ looks: file, use: useOfOpen(file.flags), access: accessOf(file.flags), unlinked: file.unlinked }]
				: [],
		unlinked: ({ content: { ghost }, key }) =>
			ghost === undefined ? undefined : { ghost, key: openGhost(ghost, key) },
	},
	differs: ({ path, unlinked, about }, found) => {
		// of the others something else is there until the process goes on
		if (unlinked || about !== undefined || !path.startsWith("/proc/")) return undefined;
		// a file of /proc/self is named after the process that opened it
		const expected = nameInProc(path, found.was, found.is);
		return found.link === expected ? undefined : `is ${found.link}, expected ${expected}`;
	},
	shares: ({ path, ghost }) => (ghost === undefined ? undefined : { of: "ghosts", id: ghost, inode: `file ${path}` }),
	path: ({ path }) => path,
	remark: ({ about }) => (about === undefined ? undefined : `of process ${about}`),
};

/** How a file looked that an entry names. */
export const looksOf = ({ name, size, mode, build_id }: RegFileEntry): MappedFile => ({
	path: name,
	...defined({ size, mode }),
	...(build_id.length === 0 ? {} : { buildId: buildIdText(build_id) }),
});

const TO_READ: EntryOpening = { flags: O.RDONLY, position: 0n, owner: NO_OWNER };

/** Size, mode and build-id, where known, are what a restore checks. */
export const regularFile = (
	id: number,
	file: MappedFile,
	{ flags, position, owner }: EntryOpening = TO_READ,
): FileEntry => ({
	type: FdTypes.REG,
	id,
	reg: {
		id,
		flags,
		pos: position,
		fown: owner,
		name: file.path,
		...defined({ size: file.size, mode: file.mode }),
		build_id: file.buildId === undefined ? [] : buildIdWords(file.buildId),
	},
});

const NAMES: ReadonlyMap<number, string> = new Map([
	[S_IFDIR, "directory"],
	[S_IFLNK, "symbolic link"],
]);

/** A symbolic link itself can be open too, with O_PATH. */
const OPENED: readonly number[] = [S_IFREG, S_IFDIR, S_IFLNK];

/** /dev/null, /dev/zero and their kin: what is read and written there is gone at once. */
const MEMORY_DEVICES = 1;

function fileAt(path: string, open: OpenDescriptor, look: Look): Sighting<OpenFile> {
	const { number, link, info } = open;
	const about = otherInProc(path, look.pid, look.together);
	return {
		...defined({ undumpable: about === undefined ? aboutAnother(look.pid, path) : undefined }),
		describe: (common, { report }) => {
			if (path !== link)
				report(note("replaced", `descriptor ${number}`, `was ${link}; it is opened by its other name ${path}`));
			const looks = looksAlive(path, open);
			if (isDirectory(looks.mode) && (common.owner?.pid ?? 0) !== 0)
				report(loss("attribute", `descriptor ${number}`, DNOTIFY));
			return { kind: "file", ...common, ...looks, position: info.position, unlinked: false, ...defined({ about }) };
		},
	};
}

/** A regular file or a directory that its path no longer leads to. */
const ghostAt = (path: string, open: OpenDescriptor): Sighting<OpenFile> => ({
	describe: (common, ask: Ask) => {
		const { stat, info } = open;
		const ghost = ask.ghost(open, path);
		if (ghost === undefined) return undefined;
		const mode = Number(stat.mode);
		// CRIU compares the size of whatever it makes, and that of a directory is the file system's
		const looks = { path, mode, ...(isDirectory(mode) ? {} : { size: stat.size }) };
		return { kind: "file", ...common, ...looks, position: info.position, unlinked: true, ghost };
	},
});

export const nowhere = (undumpable: string): Sighting<never> => ({ undumpable, describe: () => undefined });

/** Whose file of /proc/PID it is, if that of a process which does not come back with it: that of pid 1 exists after a restore. */
function aboutAnother(pid: number, path: string): string | undefined {
	const owner = ownerInProc(path);
	if (owner === undefined || owner.pid === 1) return undefined;
	if (owner.pid !== pid) return `a file about process ${owner.pid} (${path})`;
	return isOfThread(ownProcPath(path, pid) ?? "") ? `a file about one of its threads (${path})` : undefined;
}

/**
 * folklore: fcntl(F_NOTIFY) sets an owner (fs/notify/dnotify), which is how it is recognised; which events were asked for
 * cannot be read.
 */
const DNOTIFY = "is a directory that tells a process of what becomes of it (F_NOTIFY, dnotify); it tells no more";

const isDirectory = (mode = 0): boolean => (mode & S_IFMT) === S_IFDIR;

/** No size for a file opened with O_APPEND: others may have appended to it before the restore. */
export function looksAlive(path: string, { info, stat }: OpenDescriptor): MappedFile {
	const mode = Number(stat.mode);
	const growing = (info.flags & O_ACCMODE) === O.WRONLY && (info.flags & O.APPEND) !== 0;
	return { path, mode, ...((mode & S_IFMT) === S_IFREG && !growing ? { size: stat.size } : {}) };
}

/** A symbolic link itself can be open, with O_PATH and O_NOFOLLOW only (open(2)). */
export const useOfOpen = (flags: number): "node" | "link" =>
	(flags & O.PATH) !== 0 && (flags & O.NOFOLLOW) !== 0 ? "link" : "node";

/** What is done with a file that is open with these O_ flags: {@link ACCESS}. */
export function accessOf(flags: number): number {
	if ((flags & O.PATH) !== 0) return 0;
	const mode = flags & O_ACCMODE;
	return mode === O.RDONLY ? ACCESS.R_OK : mode === O.WRONLY ? ACCESS.W_OK : ACCESS.R_OK | ACCESS.W_OK;
}

/** What the workshop keeps a description of a file without a name under. @param slot its key. */
const openGhost = (ghost: number, slot: string): string => `file ${ghost} without a name, descriptor ${slot}`;

/** At its offset; what /proc said of the process, it says of what it is now. */
function openFile(slot: Slot<OpenFile>, fds: FdAllocator): void {
	const { number, closeOnExec, content: file } = slot;
	const { path, flags, ghost, about } = file;
	if (about !== undefined) {
		const until = `descriptor ${number}, until process ${about} is there`;
		addNew(fds, slot, "eventfd2", (closing) => [0n, BigInt(closing)], until);
		return;
	}
	const own = ownName(path, fds.pid);
	if (ghost !== undefined) {
		const input = fds.inputs.made(openGhost(ghost, slot.key));
		addDuplicate(fds, { input }, number, closeOnExec, `descriptor ${number}, ${path}, deleted`);
	} else if (own !== undefined) {
		fds.actor.asUser();
		openByName(fds, slot, own, flags, `descriptor ${number}, ${path}`);
	} else if (useOfOpen(flags) === "link") {
		const input = fds.inputs.file(path, "link", byOf(slot));
		addDuplicate(fds, { input }, number, closeOnExec, `descriptor ${number}, ${path} itself`);
	} else openNode(fds, slot, path, flags, isDirectory(file.mode));
	seek(fds, slot, own);
}

/** When all processes are there, by their ids: what is told of another, the kernel finds when it is opened. */
function openAbout({ number, content }: Slot<OpenFile>, late: Late): void {
	const { path, flags, about, position } = content;
	if (about === undefined) return;
	const { add, numbers, report } = late;
	const landed = { valueOf: cellDatum(`file about process ${about}`) };
	const place = pathDatum(`path of descriptor ${number}`, path);
	add("openat", [AT_FDCWD, place, BigInt(openFlags(flags))], `descriptor ${number}, ${path}`, { save: landed.valueOf });
	if (position !== 0n && (flags & O.PATH) === 0) {
		report(toldAnew(number, path));
		add("lseek", [landed, position, BigInt(SEEK.SET)], "where it was read last", { expect: { successOr: EINVAL } });
	}
	for (const { number, closeOnExec } of numbers)
		addDuplicate(late, landed, number, closeOnExec, `descriptor ${number}, ${path}`);
	add("close", [landed], `${path} is open as it is needed`);
}

const toldAnew = (number: number, path: string): Finding =>
	caution("file-offset", `descriptor ${number}`, `reads ${path}, which tells other things than it did`);

function seek(fds: FdAllocator, { number, content }: Slot<OpenFile>, own?: string): void {
	const { position, atEnd, mode, flags } = content;
	// devices of characters have no offset, or one that they give themselves; what is opened with O_PATH has none either
	const seekable = ((mode ?? 0) & S_IFMT) !== S_IFCHR && (flags & O.PATH) === 0;
	if (!seekable) return;
	if (atEnd === true) {
		fds.add("lseek", [BigInt(number), 0n, BigInt(SEEK.END)], "at the end of what was written since");
		return;
	}
	if (position === 0n) return;
	// the kernel writes it anew as it is read, and it may be shorter now
	if (own !== undefined) fds.report(toldAnew(number, own));
	const at: StepOptions = own === undefined ? { expect: { exactly: position } } : { expect: { successOr: EINVAL } };
	fds.add("lseek", [BigInt(number), position, BigInt(SEEK.SET)], "where it was read or written last", at);
}

/** What a file in /proc is called where the process has another id. */
function nameInProc(path: string, was: number, is: number): string {
	const owner = ownerInProc(path);
	return owner?.pid === was
		? `/proc/${is}${owner.rest.replace(new RegExp(`^/task/${was}(?=/|$)`), `/task/${is}`)}`
		: path;
}
