import type { CredsEntry } from "../../criu/wire/generated/schema.ts";
import type { Credentials } from "../task.ts";

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
 * An optional field as a value to spread. Where its value is what absence would mean, a `base` that leaves it out goes on
 * doing so; a fresh record says it, since a restorer takes absence for "as I am".
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
