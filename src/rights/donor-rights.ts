import type { FileWriters } from "../bytes/source.ts";
import { refuse } from "../errors.ts";
import type { Credentials } from "../task/task.ts";
import { authorsOf, authorsText } from "./authors.ts";
import type { OurRights } from "./privilege.ts";

export interface DonorRightsQuestion {
	/** What messages call the donor. */
	readonly name: string;
	/** Who can have written its images. */
	readonly writers: readonly FileWriters[];
	readonly us: Pick<OurRights, "uid">;
	readonly runs: boolean;
	readonly alone: (uid: number, gid: number) => boolean;
}

/**
 * A donor's images say where a process's handlers are and what it writes to: whoever wrote them decides what it does, as whoever
 * wrote its core does.
 *
 * @throws NecromancerError ERR_UNTRUSTED where others than root and the process's own user can have written them. One with our own
 *   rights may be made all the same, as long as it does not run.
 */
export function requireDonorOf({ uid }: Pick<Credentials, "uid">, question: DonorRightsQuestion): void {
	const { name, writers, us, runs, alone } = question;
	const authors = authorsOf(writers, alone);
	if (!authors.shared && authors.uids.every((author) => author === uid)) return;
	if (uid === us.uid && !runs) return;
	refuse("ERR_UNTRUSTED", {
		subject: name,
		finding: `can have been written by ${authorsText(authors)}, and lends to a process of uid ${uid}`,
		expectation: "expected the images of that user, or of root",
		remedy: `${uid === us.uid ? "leave it stopped, or " : ""}give --trust if you know where they come from`,
	});
}
