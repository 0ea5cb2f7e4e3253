import { u32, viewOf } from "../bytes/layout.ts";
import type { Actor as OpeningActor } from "../descriptors/steps.ts";
import type { Credentials, Task } from "../forest/task.ts";
import {
	ALL_CAPABILITIES,
	CAPABILITY_VERSION_3,
	capabilitiesIn,
	capUserHeader,
	encodeCapabilities,
} from "../linux/credentials.ts";
import { PR } from "../linux/prctl.ts";
import { SIGKILL } from "../linux/signal.ts";
import type { Arg } from "../program/args.ts";
import { type CallOf, mapArgs } from "../program/calls.ts";
import { bytesDatum } from "../program/data.ts";
import { attainable, type RightsFacts } from "./host-rights.ts";
import type { ListDraft } from "./part.ts";
import type { Stage } from "./plan.ts";

/**
 * As whom the files of a process are opened: its user, with his groups and no capability but those that the process has. The
 * kernel judges: what he may not open is not opened.
 *
 * Effective ids, not setfsuid(2): the opener's capabilities count later too, for what procfs shows through a descriptor.
 */
export interface Opener {
	readonly user: Persona;
	/** Whoever makes the process. */
	readonly caller: Persona;
	/** Nothing of it is changed: the process is the caller's own. */
	readonly same: boolean;
	/** Whether the groups can be set. */
	readonly setsGroups: boolean;
	/** Capabilities that the caller keeps meanwhile, bit n for capability n. */
	readonly permitted: bigint;
}

/** Effective ids and capabilities. */
export interface Persona {
	readonly uid: number;
	readonly gid: number;
	readonly groups: readonly number[];
	readonly effective: bigint;
}

/** The credentials of a process's threads. */
export interface OpenerTask {
	readonly threads: readonly Pick<Task["threads"][number], "credentials">[];
}

/** @param task Its threads share what is open: it is opened as the one that may most. */
export function openerOf({ threads }: OpenerTask, facts: RightsFacts): Opener {
	const { user: ours = { uid: 0, gid: 0, groups: [] }, capabilities } = facts;
	const permitted = capabilities?.permitted ?? ALL_CAPABILITIES;
	const caller: Persona = { ...ours, effective: permitted };
	const first = mostPrivileged(threads.map(({ credentials }) => credentials));
	if (first === undefined || facts.userNamespace !== undefined)
		return { user: caller, caller, same: true, setsGroups: false, permitted };
	const { credentials, setsGroups } = attainable(first, facts);
	const user: Persona = {
		...{ uid: credentials.euid, gid: credentials.egid, effective: credentials.effective & permitted },
		groups: setsGroups ? credentials.groups : caller.groups,
	};
	return { user, caller, same: asMuch(user, caller), setsGroups, permitted };
}

/** Tells those apart as whom files are opened. */
export const personaOf = ({ user: { uid, gid, groups, effective } }: Opener): string =>
	`${uid} ${gid} ${[...groups].sort((a, b) => a - b).join()} ${effective.toString(16)}`;

/** With all of the caller's capabilities, ids and groups give root nothing more. */
const asMuch = (user: Persona, caller: Persona): boolean =>
	user.uid === caller.uid &&
	(caller.effective & ~user.effective) === 0n &&
	((user.uid === 0 && caller.effective !== 0n) || (user.gid === caller.gid && sameSet(user.groups, caller.groups)));

const sameSet = (a: readonly number[], b: readonly number[]): boolean =>
	a.length === b.length && a.every((id) => b.includes(id));

/** Root before others, then who has more capabilities; the first of equals, which is the leader. */
function mostPrivileged(all: readonly Credentials[]): Credentials | undefined {
	const rank = ({ euid, effective }: Credentials): number => (euid === 0 ? 64 : 0) + capabilitiesIn(effective).length;
	return all.reduce<Credentials | undefined>(
		(most, candidate) => (most === undefined || rank(candidate) > rank(most) ? candidate : most),
		undefined,
	);
}

/** A call that changes who acts: for a plan's list, or a batch of the agent. */
export type SwitchStep = { readonly why: string } & { readonly [C in SwitchName]: CallOf<C, SwitchArg> }[SwitchName];

type SwitchName = "setresuid" | "setresgid" | "setgroups" | "capset" | "prctl";

/** Bytes are passed as a pointer to them. */
type SwitchArg = bigint | Uint8Array;

/** To the user. @param keeping capabilities that he has for the moment. */
export const stepsToUser = ({ user, caller, setsGroups, permitted }: Opener, keeping = 0n): SwitchStep[] => [
	...(setsGroups ? [setGroups(user, "as its user: his groups")] : []),
	...(user.gid === caller.gid ? [] : [setEffective("setresgid", user.gid, "his group")]),
	...(user.uid === caller.uid ? [] : [setEffective("setresuid", user.uid, "himself")]),
	setCapabilities(user.effective | (keeping & permitted), permitted, "no capability that it has not"),
];

/** And back. The kernel forgets whose end ends it, and takes it for secret (commit_creds, kernel/cred.c). */
export const stepsToCaller = (opener: Opener): SwitchStep[] => [
	...stepsBack(opener),
	{
		call: "prctl",
		args: [BigInt(PR.SET_PDEATHSIG), BigInt(SIGKILL), 0n, 0n, 0n],
		why: "still dies with the restorer",
	},
];

/** The same for the agent, which outlives us: a change of ids has hidden its files in /proc from who may not trace. */
export const stepsToAgent = (opener: Opener): SwitchStep[] => [
	...stepsBack(opener),
	{ call: "prctl", args: [BigInt(PR.SET_DUMPABLE), 1n, 0n, 0n, 0n], why: "can be looked at again" },
];

const stepsBack = ({ user, caller, setsGroups, permitted }: Opener): SwitchStep[] => [
	...(user.uid === caller.uid ? [] : [setEffective("setresuid", caller.uid, "as the restorer again")]),
	...(user.gid === caller.gid ? [] : [setEffective("setresgid", caller.gid, "his group")]),
	setCapabilities(caller.effective, permitted, "his capabilities"),
	...(setsGroups ? [setGroups(caller, "his groups")] : []),
];

const setEffective = (call: "setresuid" | "setresgid", id: number, why: string): SwitchStep => ({
	call,
	args: [UNCHANGED, BigInt(id), UNCHANGED],
	why,
});

const UNCHANGED = -1n;

function setGroups({ groups }: Persona, why: string): SwitchStep {
	const bytes = new Uint8Array(groups.length * u32.size);
	for (const [i, group] of groups.entries()) u32.write(viewOf(bytes), i * u32.size, group);
	return { call: "setgroups", args: [BigInt(groups.length), groups.length === 0 ? 0n : bytes], why };
}

const setCapabilities = (effective: bigint, permitted: bigint, why: string): SwitchStep => ({
	call: "capset",
	args: [
		capUserHeader.encode({ version: CAPABILITY_VERSION_3, pid: 0 }),
		encodeCapabilities({ effective, permitted, inheritable: 0n }),
	],
	why,
});

/** Who acts in a part's steps: nothing is switched that is so already. It begins with the caller. */
export interface Actor {
	asUser(stage: Stage, keeping?: bigint): void;
	asCaller(stage: Stage): void;
}

/** The same in one stage. */
export const actorAt = (actor: Actor, stage: Stage): OpeningActor => ({
	asUser: (keeping) => actor.asUser(stage, keeping),
	asCaller: () => actor.asCaller(stage),
});

/**
 * @param list whose steps they are.
 * @param inAgent It is the agent that acts, which outlives its driver to undo what it did, and is looked at through /proc.
 */
export function actorOf(list: () => ListDraft, opener: Opener, inAgent = false): Actor {
	let present: "user" | "caller" = "caller";
	const add = (stage: Stage, steps: readonly SwitchStep[]): void => {
		for (const step of steps) {
			const { call, why } = step;
			const place = (arg: SwitchArg): Arg => (typeof arg === "bigint" ? arg : bytesDatum(`${call}: ${why}`, arg));
			list().add(stage, call, mapArgs(step, place), why);
		}
	};
	return {
		asUser: (stage, keeping) => {
			if (opener.same || present === "user") return;
			present = "user";
			add(stage, stepsToUser(opener, keeping));
		},
		asCaller: (stage) => {
			if (present === "caller") return;
			present = "caller";
			add(stage, inAgent ? stepsToAgent(opener) : stepsToCaller(opener));
		},
	};
}
