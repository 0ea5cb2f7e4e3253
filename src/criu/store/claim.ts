import { fchmodSync, fchownSync } from "node:fs";
import { type Directory, entryIn, OWNER_ONLY_DIRECTORY } from "../../bytes/directory.ts";
import { attempt } from "../../bytes/source.ts";
import { refuse } from "../../errors.ts";
import { SPENT, STAGING } from "../own-names.ts";

/** A directory that nobody else can change until it is let go. */
export interface Claim {
	/** What is in it is ours now, and nobody else's to read. */
	keep(): void;
	/** Gives it back as it was, unless it is kept. */
	release(): void;
}

/**
 * Takes a directory from everybody else before anything in it is changed: from then on no name in it can be swapped, and
 * what becomes of it is ours. What others still have open there they may still write: nothing of that is kept (see
 * kept-file.ts).
 *
 * @throws NecromancerError ERR_OWNER where we may not; ERR_IMAGE_UNFINISHED where somebody else's patch of it was cut
 *   short: what looks like leftovers of ours may be anything that its owner has moved there.
 */
export function claim(directory: Directory): Claim {
	const before = directory.stat();
	const us = process.geteuid?.() ?? 0;
	const foreign = Number(before.uid) !== us;
	const change = (uid: number, gid: number, mode: number): void => {
		if (foreign) fchownSync(directory.fd, uid, gid);
		fchmodSync(directory.fd, mode);
	};
	const giveBack = (): void =>
		attempt(directory.name, () => change(Number(before.uid), Number(before.gid), Number(before.mode & 0o7777n)));
	// a bit of the group may be the mask of an access list, too (acl(5))
	if (foreign || (before.mode & 0o022n) !== 0n) {
		try {
			change(us, process.getegid?.() ?? 0, OWNER_ONLY_DIRECTORY);
		} catch (cause) {
			refuse(
				"ERR_OWNER",
				{
					subject: directory.name,
					finding: `belongs to user ${before.uid}`,
					expectation: "expected a directory of our own, or the right to make it that",
					remedy: "write the result elsewhere with -o, or copy the directory",
				},
				{ cause },
			);
		}
		const left = [STAGING, SPENT].find((name) => entryIn(directory, name) !== undefined);
		if (left !== undefined) {
			giveBack();
			refuse("ERR_IMAGE_UNFINISHED", {
				subject: directory.name,
				finding: `holds ${left}, which somebody else may have put there`,
				expectation: "expected no unfinished patch in a directory that others can change",
				remedy: "let its owner patch it again, or remove that",
			});
		}
	}
	let over = false;
	return {
		keep: () => {
			over = true;
			attempt(directory.name, () => fchmodSync(directory.fd, OWNER_ONLY_DIRECTORY));
		},
		release: () => {
			if (over) return;
			over = true;
			giveBack();
		},
	};
}
