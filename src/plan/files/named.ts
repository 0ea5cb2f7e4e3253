import { caution } from "../../finding.ts";
import { AT_FDCWD, S_IFCHR, S_IFMT } from "../../linux/fcntl.ts";
import { O } from "../../linux/open.ts";
import { ownProcPath } from "../../proc/own-paths.ts";
import type { Place } from "../../program/program.ts";
import type { OpenFile } from "../../task/files.ts";
import type { Circumstances } from "../context.ts";
import type { StepOptions } from "../draft.ts";
import type { Stage } from "../plan.ts";
import { addDuplicate, addNew, type Desk } from "./fd-allocator.ts";
import { openFlags } from "./open-flags.ts";
import type { Slot } from "./slots.ts";

const [SEEK_SET, SEEK_END] = [0n, 2n];
const EINVAL = 22;

/** Where a file that is open can be opened once more, with other flags or at another offset. */
export const ownFile = (number: number): string => `/proc/self/fd/${number}`;

/**
 * The name to open a file of the process by, as its user; what is lent to him is open already, and the restorer opens that
 * very file. Whoever comes next in the list stands where this leaves him.
 */
export function nameFor(path: string, stage: Stage, { inputs, stand }: Circumstances, keeping = 0n): string {
	const lent = inputs.lent(path);
	if (lent === undefined) stand.asUser(stage, keeping);
	else stand.asCaller(stage);
	return lent === undefined ? path : ownFile(lent);
}

/** A file by its name, with the flags of the description it stands for. */
export function openByName(desk: Desk, slot: Slot, path: string, flags: number): void {
	const place = nameFor(path, "files", desk.around);
	const name = desk.around.draft.path(`path of descriptor ${slot.number}`, place);
	const how = openFlags(place === path ? flags : flags & ~O.NOFOLLOW);
	addNew(desk, slot, "openat", (closing) => [AT_FDCWD, name, BigInt(how | closing)], `descriptor ${slot.number}`);
}

/**
 * Opens files that whoever calls us named, while it is he who acts, and stands in his directory. They wait, out of the way, for
 * their numbers.
 */
export function openForCaller(desk: Desk, slots: readonly Slot[]): ReadonlyMap<string, Place> {
	const { draft, opener, stand } = desk.around;
	const waiting = new Map<string, Place>();
	if (opener.same) return waiting;
	for (const { number, key, byCaller, content } of slots) {
		if (!byCaller || waiting.has(key) || (content.kind !== "substitute" && content.kind !== "file")) continue;
		const name = draft.path(`path of descriptor ${number}`, content.path);
		const landed = desk.open("openat", [AT_FDCWD, name, BigInt(openFlags(content.flags))], `for descriptor ${number}`);
		waiting.set(key, desk.park(landed, `what ${number} will be`));
	}
	// names of the process must not lead through a directory that is open to the caller alone, as /proc/self/cwd does
	desk.add("chdir", [draft.path("root directory of the restorer", "/")], "away from the caller's directory");
	stand.asUser("files");
	return waiting;
}

/** A regular file, a directory or a device, at its offset; what /proc said of the process, it says of what it is now. */
export function openFile(desk: Desk, slot: Slot, file: OpenFile, pid: number): void {
	const { path, flags, ghost } = file;
	const number = ghost === undefined ? undefined : desk.around.ghosts?.get(ghost);
	const own = ownProcPath(path, pid);
	if (number === undefined) openByName(desk, slot, own ?? path, flags);
	else openByName(desk, slot, ownFile(number), flags & ~O.NOFOLLOW);
	seek(desk, slot, file, own);
}

/** What {@link openForCaller} opened, at its number. */
export function placeForCaller(desk: Desk, slot: Slot, at: Place): void {
	addDuplicate(desk, { valueOf: at }, slot.number, slot.closeOnExec, "to its number");
	if (slot.content.kind === "file") seek(desk, slot, slot.content);
}

function seek(desk: Desk, slot: Slot, { position, atEnd, mode, flags }: OpenFile, own?: string): void {
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
