import { loss } from "../finding.ts";
import type { Arg } from "../program/args.ts";
import type { Context } from "./context.ts";
import { mayGive } from "./host-rights.ts";
import type { ListDraft } from "./part.ts";
import type { Stage } from "./plan.ts";

/** Who owned a file without a name, and who may do what with it. What is absent stays as it was made. */
export interface Ownership {
	readonly uid?: number;
	readonly gid?: number;
	/** st_mode. */
	readonly mode?: number;
}

/**
 * Gives a file that is open as `fd` its owner and its permissions; the owner first, for the kernel takes bits of the mode from
 * whoever gets a file.
 */
export function addOwnership(
	{ uid, gid, mode }: Ownership,
	fd: Arg,
	what: string,
	stage: Stage,
	{ draft, facts }: Pick<Context, "draft" | "facts">,
	list: ListDraft = draft.leader,
): void {
	if (uid !== undefined && gid !== undefined) {
		if (mayGive({ uid, gid }, facts)) list.add(stage, "fchown", [fd, BigInt(uid), BigInt(gid)], `who owns ${what}`);
		else draft.report(loss("file-owner", what, `belonged to ${uid}, group ${gid}; it belongs to the restorer now`));
	}
	if (mode !== undefined) list.add(stage, "fchmod", [fd, BigInt(mode & 0o7777)], "its permissions");
}
