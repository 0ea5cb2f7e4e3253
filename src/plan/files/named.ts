import { pathOfDescriptor } from "../../bytes/own-descriptor.ts";
import { caution, loss } from "../../finding.ts";
import type { OpenFile } from "../../forest/files.ts";
import { EINVAL } from "../../linux/errno.ts";
import { AT_FDCWD, SEEK } from "../../linux/fcntl.ts";
import { O } from "../../linux/open.ts";
import { S_IFCHR, S_IFDIR, S_IFMT } from "../../linux/stat.ts";
import { ownName } from "../../proc/own-paths.ts";
import { pathDatum } from "../../program/data.ts";
import type { Context } from "../context.ts";
import { type NeededFile, type ProcessInput, useOfOpen } from "../inputs.ts";
import type { StepOptions } from "../part.ts";
import type { Stage } from "../plan.ts";
import { addDuplicate, addNew, type FdAllocator } from "./fd-allocator.ts";
import { openGhost } from "./ghost-keys.ts";
import { openFlags } from "./open-flags.ts";
import type { FdSlot } from "./slots.ts";

/** Where a file that is open can be opened once more, with other flags or at another offset. */
export const ownFile = (number: number): string => pathOfDescriptor(number);

/**
 * A file of the process that is open as a node (O_PATH), to be opened or entered by whoever may: its user, or the restorer
 * where it is lent, or where the caller named it. Whoever comes next in the list stands where this leaves him.
 */
export function nodeOf(
	path: string,
	stage: Stage,
	{ inputs, actor }: Context,
	{ by = "user", keeping = 0n }: { readonly by?: NeededFile["by"]; readonly keeping?: bigint } = {},
): ProcessInput {
	const input = inputs.file(path, "node", by);
	if (input.lent || by === "caller") actor.asCaller(stage);
	else actor.asUser(stage, keeping);
	return input;
}

/** A file with the flags of the description it stands for. */
export function openNode(fds: FdAllocator, slot: FdSlot, path: string, flags: number): void {
	const { number } = nodeOf(path, "files", fds.context, slot.byCaller === true ? { by: "caller" } : {});
	const what = `descriptor ${slot.number}, ${path}`;
	const refusesLinks = (flags & O.NOFOLLOW) !== 0;
	// the last part of a directory's path is no link then
	const inside = refusesLinks && isDirectory(slot.content);
	if (refusesLinks && !inside)
		fds.context.draft.report(
			loss("attribute", `descriptor ${slot.number}`, "was opened with O_NOFOLLOW, which F_GETFL does not say any more"),
		);
	const name = inside ? `${ownFile(number)}/.` : ownFile(number);
	openByName(fds, slot, name, inside ? flags : flags & ~O.NOFOLLOW, what);
}

const isDirectory = (content: FdSlot["content"]): boolean =>
	content.kind === "file" && ((content.mode ?? 0) & S_IFMT) === S_IFDIR;

function openByName(fds: FdAllocator, slot: FdSlot, path: string, flags: number, what: string): void {
	const name = pathDatum(`path of descriptor ${slot.number}`, path);
	addNew(fds, slot, "openat", (closing) => [AT_FDCWD, name, BigInt(openFlags(flags) | closing)], what);
}

/** A regular file, a directory or a device, at its offset; what /proc said of the process, it says of what it is now. */
export function openFile(fds: FdAllocator, slot: FdSlot, file: OpenFile, pid: number): void {
	const { path, flags, ghost } = file;
	const { context } = fds;
	const own = ownName(path, pid);
	if (ghost !== undefined) {
		const input = context.inputs.made(openGhost(ghost, slot.key));
		addDuplicate(fds, { input }, slot.number, slot.closeOnExec, `descriptor ${slot.number}, ${path}, deleted`);
	} else if (own !== undefined) {
		context.actor.asUser("files");
		openByName(fds, slot, own, flags, `descriptor ${slot.number}, ${path}`);
	} else if (useOfOpen(flags) === "link") {
		const input = context.inputs.file(path, "link", slot.byCaller === true ? "caller" : "user");
		addDuplicate(fds, { input }, slot.number, slot.closeOnExec, `descriptor ${slot.number}, ${path} itself`);
	} else openNode(fds, slot, path, flags);
	seek(fds, slot, file, own);
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
