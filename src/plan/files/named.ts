import { pathOfDescriptor } from "../../bytes/own-descriptor.ts";
import { caution } from "../../finding.ts";
import { EINVAL } from "../../linux/errno.ts";
import { AT_FDCWD, SEEK } from "../../linux/fcntl.ts";
import { O } from "../../linux/open.ts";
import { S_IFCHR, S_IFMT } from "../../linux/stat.ts";
import { ownProcPath } from "../../proc/own-paths.ts";
import type { Place } from "../../program/args.ts";
import { pathDatum } from "../../program/data.ts";
import type { OpenFile } from "../../task/files.ts";
import type { Context } from "../context.ts";
import type { StepOptions } from "../part.ts";
import type { Stage } from "../plan.ts";
import { addDuplicate, addNew, type FdAllocator } from "./fd-allocator.ts";
import { openFlags } from "./open-flags.ts";
import type { FdSlot } from "./slots.ts";

/** Where a file that is open can be opened once more, with other flags or at another offset. */
export const ownFile = (number: number): string => pathOfDescriptor(number);

/**
 * The name to open a file of the process by, as its user; what is lent to him is open already, and the restorer opens that
 * very file. Whoever comes next in the list stands where this leaves him.
 */
export function nameFor(path: string, stage: Stage, { inputs, actor }: Context, keeping = 0n): string {
	const lent = inputs.lent(path);
	if (lent === undefined) actor.asUser(stage, keeping);
	else actor.asCaller(stage);
	return lent === undefined ? path : ownFile(lent);
}

/** A file by its name, with the flags of the description it stands for. */
export function openByName(fds: FdAllocator, slot: FdSlot, path: string, flags: number): void {
	const place = nameFor(path, "files", fds.context);
	const name = pathDatum(`path of descriptor ${slot.number}`, place);
	const how = openFlags(place === path ? flags : flags & ~O.NOFOLLOW);
	addNew(fds, slot, "openat", (closing) => [AT_FDCWD, name, BigInt(how | closing)], `descriptor ${slot.number}`);
}

/**
 * Opens files that whoever calls us named, while it is he who acts, and stands in his directory. They wait, out of the way, for
 * their numbers.
 */
export function openForCaller(fds: FdAllocator, slots: readonly FdSlot[]): ReadonlyMap<string, Place> {
	const { opener, actor } = fds.context;
	const waiting = new Map<string, Place>();
	if (opener.same) return waiting;
	for (const { number, key, byCaller, content } of slots) {
		if (!byCaller || waiting.has(key) || (content.kind !== "substitute" && content.kind !== "file")) continue;
		const name = pathDatum(`path of descriptor ${number}`, content.path);
		const landed = fds.open("openat", [AT_FDCWD, name, BigInt(openFlags(content.flags))], `for descriptor ${number}`);
		waiting.set(key, fds.setAside(landed, `what ${number} will be`));
	}
	// names of the process must not lead through a directory that is open to the caller alone, as /proc/self/cwd does
	fds.add("chdir", [pathDatum("root directory of the restorer", "/")], "away from the caller's directory");
	actor.asUser("files");
	return waiting;
}

/** A regular file, a directory or a device, at its offset; what /proc said of the process, it says of what it is now. */
export function openFile(fds: FdAllocator, slot: FdSlot, file: OpenFile, pid: number): void {
	const { path, flags, ghost } = file;
	const number = ghost === undefined ? undefined : fds.context.ghosts?.get(ghost);
	const own = ownProcPath(path, pid);
	if (number === undefined) openByName(fds, slot, own ?? path, flags);
	else openByName(fds, slot, ownFile(number), flags & ~O.NOFOLLOW);
	seek(fds, slot, file, own);
}

/** What {@link openForCaller} opened, at its number. */
export function placeForCaller(fds: FdAllocator, slot: FdSlot, at: Place): void {
	addDuplicate(fds, { valueOf: at }, slot.number, slot.closeOnExec, "to its number");
	if (slot.content.kind === "file") seek(fds, slot, slot.content);
}

function seek(fds: FdAllocator, slot: FdSlot, { position, atEnd, mode, flags }: OpenFile, own?: string): void {
	// devices of characters have no offset, or one that they give themselves; what is opened with O_PATH has none either
	const seekable = ((mode ?? 0) & S_IFMT) !== S_IFCHR && (flags & O.PATH) === 0;
	if (!seekable) return;
	if (atEnd === true) {
		fds.add("lseek", [BigInt(slot.number), 0n, BigInt(SEEK.END)], "at the end of what was written since");
		return;
	}
	if (position === 0n) return;
	// the kernel writes it anew as it is read, and it may be shorter now
	if (own !== undefined)
		fds.context.draft.report(
			caution("file-offset", `descriptor ${slot.number}`, `reads ${own}, which tells other things than it did`),
		);
	const at: StepOptions = own === undefined ? { expect: { exactly: position } } : { expect: { successOr: EINVAL } };
	fds.add("lseek", [BigInt(slot.number), position, BigInt(SEEK.SET)], "where it was read or written last", at);
}
