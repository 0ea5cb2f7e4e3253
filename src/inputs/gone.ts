import type { Gone } from "../forest/verdict.ts";

/** Why there is no file to judge. */
const gone = (why: Gone["why"], because: string): Gone => ({ kind: "gone", why, because });

export const NOT_HERE = gone("absent", "is not here");
export const IRREGULAR = gone("irregular", "is no regular file here");
export const UNOPENED = gone("unopened", "cannot be opened here");

/** @param errno What open(2) and access(2) tell that user. */
export const closedTo = (uid: number, errno: string): Gone =>
	gone("closed", `may not be used by uid ${uid} (${errno})`);

/** Who owns a symbolic link on the way decides which of the files that the user may open it is. */
export const reachedByLinkOf = (stranger: number): Gone =>
	gone("redirected", `is reached by a link of user ${stranger}'s`);
export const CHANGING = gone("redirected", "became another file while it was looked at");
export const UNSEEN = gone("redirected", "is reached by links that cannot be looked at");

const NOT_THERE: readonly string[] = ["ENOENT", "ENOTDIR", "ENAMETOOLONG", "ELOOP"];

/** @param errno Why that user could not open a path. */
export const goneBy = (errno: string, uid: number): Gone =>
	NOT_THERE.includes(errno) ? NOT_HERE : closedTo(uid, errno);

export const isGone = (what: object): what is Gone => "kind" in what && what.kind === "gone";
