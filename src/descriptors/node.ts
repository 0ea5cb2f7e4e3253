import { pathOfDescriptor } from "../bytes/own-descriptor.ts";
import { loss } from "../finding.ts";
import { AT_FDCWD } from "../linux/fcntl.ts";
import { O } from "../linux/open.ts";
import { pathDatum } from "../program/data.ts";
import type { NeededFile, ProcessInput } from "./inputs.ts";
import { addNew, type FdAllocator, type Opening, openFlags, type Slot } from "./steps.ts";

/**
 * A file of the process that is open as a node (O_PATH), to be opened or entered by whoever may: its user, or the restorer
 * where it is lent, or where the caller named it. Whoever comes next in the list stands where this leaves him.
 */
export function nodeOf(
	path: string,
	{ inputs, actor }: Pick<Opening, "inputs" | "actor">,
	{
		by = "user",
		keeping = 0n,
		use = "node",
	}: { readonly by?: NeededFile["by"]; readonly keeping?: bigint; readonly use?: "node" | "link" } = {},
): ProcessInput {
	const input = inputs.file(path, use, by);
	if (input.lent || by === "caller") actor.asCaller();
	else actor.asUser(keeping);
	return input;
}

export const byOf = ({ byCaller }: Slot<unknown>): NeededFile["by"] => (byCaller === true ? "caller" : "user");

/** A file with the flags of the description it stands for. @param isDirectory where that is known. */
export function openNode(
	fds: FdAllocator,
	slot: Slot<unknown>,
	path: string,
	flags: number,
	isDirectory = false,
): void {
	const { number } = nodeOf(path, fds, { by: byOf(slot) });
	const what = `descriptor ${slot.number}, ${path}`;
	const refusesLinks = (flags & O.NOFOLLOW) !== 0;
	// the last part of a directory's path is no link then
	const inside = refusesLinks && isDirectory;
	if (refusesLinks && !inside)
		fds.report(
			loss("attribute", `descriptor ${slot.number}`, "was opened with O_NOFOLLOW, which F_GETFL does not say any more"),
		);
	const name = inside ? `${pathOfDescriptor(number)}/.` : pathOfDescriptor(number);
	openByName(fds, slot, name, inside ? flags : flags & ~O.NOFOLLOW, what);
}

export function openByName(fds: FdAllocator, slot: Slot<unknown>, path: string, flags: number, what: string): void {
	const name = pathDatum(`path of descriptor ${slot.number}`, path);
	addNew(fds, slot, "openat", (closing) => [AT_FDCWD, name, BigInt(openFlags(flags) | closing)], what);
}
