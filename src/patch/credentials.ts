import type { CredsEntry } from "../criu/generated/schema.ts";
import type { Credentials } from "../task/task.ts";

/** Credentials as an image holds them; security labels and unknown fields stay the donor's. */
export const credsEntry = (credentials: Credentials, donor: CredsEntry): CredsEntry => ({
	...donor,
	uid: credentials.uid,
	gid: credentials.gid,
	euid: credentials.euid,
	egid: credentials.egid,
	suid: credentials.suid,
	sgid: credentials.sgid,
	fsuid: credentials.fsuid,
	fsgid: credentials.fsgid,
	groups: credentials.groups,
	cap_inh: words(credentials.inheritable, donor.cap_inh),
	cap_prm: words(credentials.permitted, donor.cap_prm),
	cap_eff: words(credentials.effective, donor.cap_eff),
	cap_bnd: words(credentials.bounding, donor.cap_bnd),
	cap_amb: words(credentials.ambient, donor.cap_amb),
	secbits: credentials.securebits,
});

/** A set as its low and high word. An absent list means the empty set and stays absent. */
const words = (set: bigint, donor: readonly number[]): readonly number[] =>
	set === 0n && donor.length === 0 ? donor : [Number(set & 0xffff_ffffn), Number(set >> 32n)];
