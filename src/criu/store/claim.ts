import { fchmodSync, fchownSync } from "node:fs";
import { type Directory, entryIn, OWNER_ONLY_DIRECTORY } from "../../bytes/directory.ts";
import { attempt } from "../../bytes/source.ts";
import { refuse } from "../../errors.ts";
import { SPENT, STAGING } from "../own-names.ts";

/** A directory that nobody else can change until it is released. */
export interface Claim {
	/** It stays ours, mode 0700. */
	keep(): void;
	/** Gives it back as it was, unless it is kept. */
	release(): void;
}

/**
 * Makes a directory ours, mode 0700, before anything in it is changed: from then on nobody else can rename or link in it. Files
 * that others still have open there are not kept (see kept-file.ts).
 *
 * @throws NecromancerError ERR_OWNER where we may not; ERR_IMAGE_UNFINISHED where somebody else's patch of it was cut short:
 *   what looks like leftovers of ours may be anything that its owner has moved there.
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
