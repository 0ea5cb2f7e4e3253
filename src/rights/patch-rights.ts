import type { FileWriters } from "../bytes/source.ts";
import { refuse, refuseAll } from "../errors.ts";
import type { Credentials, Task } from "../forest/task.ts";
import {
	authorsOf,
	authorsText,
	besidesRoot,
	type Closed,
	capabilityNames,
	contentsClosedTo,
	groupsIn,
	type KeptBy,
	loneAuthor,
	rightsBeyond,
} from "./authors.ts";
import type { OurRights } from "./privilege.ts";

export interface PatchRightsQuestion {
	/** What messages call the core. */
	readonly name: string;
	/** Who can have written the core, and the donor's images. */
	readonly writers: readonly FileWriters[];
	/** The credentials that the donor's images give. */
	readonly donor: readonly Credentials[];
	/** What the donor's images hold. */
	readonly lends: KeptBy;
	readonly us: OurRights;
	/** Believe core and donor, whoever wrote them (--trust). */
	readonly trust: boolean;
	/** Whether nobody but that user is in that group. */
	readonly alone: (uid: number, gid: number) => boolean;
	/** All groups of a user; none where he is not known. */
	readonly groupsOf: (uid: number) => readonly number[];
}

/**
 * Checks a task before it is written as images. The images will be owned by us and so be believed later: they must not hold
 * rights that the writers of core and donor lack. A core never gives uid 0 or capabilities, since a forged one looks like the
 * kernel's; a donor does, where core and donor are root's alone.
 *
 * @returns the writers besides us, to be named in the images.
 * @throws NecromancerError ERR_UNTRUSTED
 */
export function patchRights({ threads }: Pick<Task, "threads">, question: PatchRightsQuestion): readonly FileWriters[] {
	const { name, writers, donor, lends, us, trust, alone, groupsOf } = question;
	if (trust) return [];
	const others = besidesRoot(writers, alone);
	// an ordinary user's images are his own, and give no more than his rights
	if (us.uid !== 0 && us.capabilities === 0n) return others;
	const authors = authorsOf(writers, alone);
	const lone = loneAuthor(authors);
	if (lone === undefined && others.length > 0)
		refuse("ERR_UNTRUSTED", {
			subject: name,
			finding: `and its donor can have been written by ${authorsText(authors)}`,
			expectation: "expected one user, and nobody besides",
			remedy: TRUST,
		});
	const faults = threads.flatMap(({ tid, credentials }) => {
		const beyond = [
			...privilegesBeyond(credentials, lone === undefined ? donor : []),
			...(lone === undefined ? strange(credentials, donor, groupsOf) : []),
		];
		const more = lone === undefined ? beyond : rightsBeyond(credentials, lone, groupsOf(lone));
		return beyond.length + more.length === 0
			? []
			: [
					{
						subject: `thread ${tid}`,
						finding: `would have ${[...new Set([...beyond, ...more])].join(", ")}`,
						expectation: `expected no more than ${lone === undefined ? "a core is believed about" : `uid ${lone} has, whose ${name} or its donor is`}`,
					},
				];
	});
	if (faults.length > 0) refuseAll("ERR_UNTRUSTED", "threads", faults, TRUST);
	if (lone !== undefined) refuseClosed(contentsClosedTo(lone, lends), lone, TRUST);
	return others;
}

/** @throws NecromancerError ERR_UNTRUSTED */
export function refuseClosed(closed: readonly Closed[], user: number, remedy: string): void {
	const faults = closed.map(({ subject, uid }) => ({
		subject,
		finding: `belongs to uid ${uid}, and would be uid ${user}'s with what is in it`,
		expectation: "expected files that its user may read",
	}));
	if (faults.length > 0) refuseAll("ERR_UNTRUSTED", "files", faults, remedy);
}

const TRUST = "give --trust if you know where they come from: the images are then your own word";

/** Uid 0 and capabilities in `credentials` that `donor` does not have, in words. */
function privilegesBeyond(credentials: Credentials, donor: readonly Credentials[]): string[] {
	const isRoot = ({ uid, euid, suid, fsuid }: Credentials): boolean => [uid, euid, suid, fsuid].includes(0);
	const lent = (set: CapabilitySet): bigint => donor.reduce((all, other) => all | other[set], 0n);
	const without = { ...credentials };
	for (const set of capabilitySets) without[set] &= ~lent(set);
	return [...(isRoot(credentials) && !donor.some(isRoot) ? ["uid 0"] : []), ...capabilityNames(without)];
}

const capabilitySets = ["permitted", "effective", "inheritable", "ambient"] as const;
type CapabilitySet = (typeof capabilitySets)[number];

/** Groups that neither the donor nor this host's databases list for the user. */
function strange(
	credentials: Credentials,
	donor: readonly Credentials[],
	groupsOf: PatchRightsQuestion["groupsOf"],
): string[] {
	const { uid } = credentials;
	const known = [...groupsOf(uid), ...donor.filter((other) => other.uid === uid).flatMap(groupsIn)];
	if (known.length === 0) return [];
	return [...new Set(groupsIn(credentials).filter((id) => !known.includes(id)))].map((id) => `gid ${id}`);
}
