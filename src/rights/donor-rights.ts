import type { FileWriters } from "../bytes/source.ts";
import { refuse } from "../errors.ts";
import type { Credentials } from "../forest/task.ts";
import { authorsOf, authorsText, contentsClosedTo, type KeptBy } from "./authors.ts";
import { refuseClosed } from "./patch-rights.ts";
import type { OurRights } from "./privilege.ts";

export interface DonorRightsQuestion {
	/** What messages call the donor. */
	readonly name: string;
	/** Who can have written its images. */
	readonly writers: readonly FileWriters[];
	/** What it lends. */
	readonly lends: KeptBy;
	readonly us: Pick<OurRights, "uid">;
	readonly runs: boolean;
	readonly alone: (uid: number, gid: number) => boolean;
}

/**
 * Refuses a donor that others can have written: its images decide on handlers and open files, and so on what the process does,
 * as the core does.
 *
 * Unlinked files, memfds and pipes in root's dumps go only to users who may read them.
 *
 * @throws NecromancerError ERR_UNTRUSTED where others than root and the process's own user can have written them. One with our
 *   own rights may be made all the same, as long as it does not run.
 */
export function requireDonorOf({ uid }: Pick<Credentials, "uid">, question: DonorRightsQuestion): void {
	const { name, writers, lends, us, runs, alone } = question;
	const authors = authorsOf(writers, alone);
	if (!authors.shared && authors.uids.every((author) => author === uid)) {
		// a user's own images hold nothing new for him
		if (authors.uids.length === 0)
			refuseClosed(contentsClosedTo(uid, lends), uid, "give --trust if you know where the core comes from");
		return;
	}
	if (uid === us.uid && !runs) return;
	refuse("ERR_UNTRUSTED", {
		subject: name,
		finding: `can have been written by ${authorsText(authors)}, and lends to a process of uid ${uid}`,
		expectation: "expected the images of that user, or of root",
		remedy: `${uid === us.uid ? "leave it stopped, or " : ""}give --trust if you know where they come from`,
	});
}
