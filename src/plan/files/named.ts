import { AT_FDCWD, S_IFCHR, S_IFMT } from "../../linux/fcntl.ts";
import { O } from "../../linux/open.ts";
import { ownProcPath } from "../../linux/own-proc.ts";
import type { OpenFile } from "../../task/files.ts";
import { caution } from "../../task/finding.ts";
import type { StepOptions } from "../draft.ts";
import { addNew, type Desk } from "./desk.ts";
import { openFlags } from "./open-flags.ts";
import type { Slot } from "./slots.ts";

const [SEEK_SET, SEEK_END] = [0n, 2n];
const EINVAL = 22;

/** Where a file that is open can be opened once more, with other flags or at another offset. */
export const ownFile = (number: number): string => `/proc/self/fd/${number}`;

/** A file by its name, with the flags of the description it stands for. */
export function openByName(desk: Desk, slot: Slot, path: string, flags: number): void {
	const name = desk.around.draft.path(`path of descriptor ${slot.number}`, path);
	const how = openFlags(flags);
	addNew(desk, slot, "openat", (closing) => [AT_FDCWD, name, BigInt(how | closing)], `descriptor ${slot.number}`);
}

/** A regular file, a directory or a device, at its offset; what /proc said of the process, it says of what it is now. */
export function openFile(
	desk: Desk,
	slot: Slot,
	{ path, flags, position, atEnd, mode, ghost }: OpenFile,
	pid: number,
): void {
	const number = ghost === undefined ? undefined : desk.around.ghosts?.get(ghost);
	const own = ownProcPath(path, pid);
	if (number === undefined) openByName(desk, slot, own ?? path, flags);
	else openByName(desk, slot, ownFile(number), flags & ~O.NOFOLLOW);
	// devices of characters have no offset, or one that they give themselves; what is opened with O_PATH has none either
	const seekable = ((mode ?? 0) & S_IFMT) !== S_IFCHR && (flags & O.PATH) === 0;
	if (!seekable) return;
	if (atEnd === true) {
		desk.add("lseek", [BigInt(slot.number), 0n, SEEK_END], "at the end of what was written since");
		return;
	}
	if (position === 0n) return;
	// the kernel writes it anew as it is read, and it may be shorter now
	if (own !== undefined)
		desk.around.draft.report(
			caution("file-offset", `descriptor ${slot.number}`, `reads ${own}, which tells other things than it did`),
		);
	const at: StepOptions = own === undefined ? { expect: { exactly: position } } : { expect: { successOr: EINVAL } };
	desk.add("lseek", [BigInt(slot.number), position, SEEK_SET], "where it was read or written last", at);
}
