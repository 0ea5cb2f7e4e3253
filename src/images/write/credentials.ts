import type { CredsEntry } from "../../criu/wire/generated/schema.ts";
import type { Credentials } from "../../forest/task.ts";

/** Credentials as an image holds them. What else `base` says, such as security labels, stays. */
export const credsEntry = (credentials: Credentials, base?: CredsEntry): CredsEntry => ({
	...base,
	uid: credentials.uid,
	gid: credentials.gid,
	euid: credentials.euid,
	egid: credentials.egid,
	suid: credentials.suid,
	sgid: credentials.sgid,
	fsuid: credentials.fsuid,
	fsgid: credentials.fsgid,
	groups: credentials.groups,
	cap_inh: words(credentials.inheritable, base?.cap_inh),
	cap_prm: words(credentials.permitted, base?.cap_prm),
	cap_eff: words(credentials.effective, base?.cap_eff),
	cap_bnd: words(credentials.bounding, base?.cap_bnd),
	cap_amb: words(credentials.ambient, base?.cap_amb),
	secbits: credentials.securebits,
	...unless(0, base, "no_new_privs", credentials.noNewPrivileges ? 1 : 0),
});

/** A set as its low and high word. An absent list means the empty set and stays absent. */
const words = (set: bigint, base: readonly number[] | undefined): readonly number[] =>
	set === 0n && base?.length === 0 ? base : [Number(set & 0xffff_ffffn), Number(set >> 32n)];

/**
 * An optional field, to spread into a record. A default value that `base` leaves out stays left out; a new record has it, since
 * CRIU takes absence for the restorer's own value.
 */
export const unless = <K extends string>(
	usual: number,
	base: { readonly [_ in K]?: unknown } | undefined,
	name: K,
	value: number,
): { readonly [_ in K]?: number } =>
	value === usual && base !== undefined && base[name] === undefined
		? {}
		: ({ [name]: value } as { readonly [_ in K]: number });
