import { u32, viewOf } from "../../bytes/layout.ts";
import { caution, loss } from "../../finding.ts";
import type { Credentials, Task, Thread } from "../../forest/task.ts";
import {
	CAPABILITIES,
	CAPABILITY_VERSION_3,
	capabilitiesIn,
	capabilityName,
	capUserHeader,
	encodeCapabilities,
	SECBIT_NO_SETUID_FIXUP,
} from "../../linux/credentials.ts";
import { EPERM } from "../../linux/errno.ts";
import { PR, PR_CAP_AMBIENT } from "../../linux/prctl.ts";
import { SIGKILL } from "../../linux/signal.ts";
import type { Arg, Place } from "../../program/args.ts";
import type { ArgsOf, CallName } from "../../program/calls.ts";
import { bytesDatum } from "../../program/data.ts";
import type { Context } from "../context.ts";
import type { HostFacts } from "../host-facts.ts";
import { attainable } from "../host-rights.ts";
import type { ListDraft, Part } from "../part.ts";
import { addLimits } from "./limits.ts";

/**
 * What the process may do, in the hands of its leader: limits, then the leader's credentials. Nothing that needs a privilege
 * comes after.
 */
export function planCredentials(task: Task, context: Context): Part {
	addLimits(task, context);
	const [leader] = task.threads;
	if (leader === undefined) return context.draft.made();
	const list = context.draft.leader;
	reportUserNamespace(task, context);
	addCredentials(list, task, leader, context);
	// the kernel forgets it when credentials change (commit_creds, kernel/cred.c)
	list.add(
		"credentials",
		"prctl",
		[BigInt(PR.SET_PDEATHSIG), BigInt(SIGKILL), 0n, 0n, 0n],
		"still dies with the restorer",
	);
	return context.draft.made();
}

function reportUserNamespace({ identity: { pid } }: Task, { draft, facts: { userNamespace, user } }: Context): void {
	if (userNamespace === undefined) return;
	const { uid, gid } = userNamespace;
	const outside = user === undefined ? "the restorer's" : `user ${user.uid} and group ${user.gid}`;
	draft.report(
		caution(
			"credentials",
			`process ${pid}`,
			`lives in a user namespace of its own, where user ${uid} and group ${gid} stand for ${outside} outside`,
		),
	);
}

/**
 * The credentials of the thread that runs the list: for the kernel each thread has its own.
 *
 * What only a privileged restorer can change, and an unprivileged one need not, may fail with EPERM: then the thread keeps
 * what the restorer itself had, never more. What it is known beforehand to lack is not tried but reported ({@link attainable}).
 */
export function addCredentials(
	list: ListDraft,
	{ threads: [leader] }: Task,
	{ tid, credentials: wanted }: Thread,
	context: Context,
): void {
	const { draft, facts } = context;
	const { credentials, setsGroups, narrows, lost } = attainable(wanted, facts);
	// what all of them lose is said once
	const ofLeader = leader === undefined || leader.tid === tid ? [] : attainable(leader.credentials, facts).lost;
	const subject = leader?.tid === tid ? `process ${tid}` : `thread ${tid}`;
	for (const text of lost) if (!ofLeader.includes(text)) draft.report(loss("credentials", subject, text));
	const { uid, gid, euid, egid, suid, sgid, fsuid, fsgid, groups, securebits } = credentials;
	const add = <C extends CallName>(call: C, args: ArgsOf<C, Arg>, why: string, tolerant = false): void =>
		list.add("credentials", call, args, why, tolerant ? { expect: { successOr: EPERM } } : {});
	const prctl = (option: number, value: number | bigint, why: string, tolerant = false): void =>
		add("prctl", [BigInt(option), BigInt(value), 0n, 0n, 0n], why, tolerant);

	if (setsGroups) {
		const members = groups.length === 0 ? 0n : bytesDatum(`groups of thread ${tid}`, groupBytes(groups), { align: 4 });
		add("setgroups", [BigInt(groups.length), members], "its supplementary groups", true);
	}
	prctl(PR.SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP, "capabilities stay while ids change", true);
	add("setresgid", [BigInt(gid), BigInt(egid), BigInt(sgid)], "its group");
	addFilesystemId(list, "setfsgid", fsgid, egid);
	add("setresuid", [BigInt(uid), BigInt(euid), BigInt(suid)], "its user");
	addFilesystemId(list, "setfsuid", fsuid, euid);
	if (narrows) prctl(PR.SET_SECUREBITS, securebits, "its securebits", securebits === 0);

	for (let bit = 0; narrows && bit < CAPABILITIES; bit++)
		if (((credentials.bounding >> BigInt(bit)) & 1n) === 0n)
			prctl(PR.CAPBSET_DROP, bit, `can never get ${capabilityName(bit)}`, true);
	add(
		"capset",
		[ownHeader(), bytesDatum(`capabilities of thread ${tid}`, encodeCapabilities(credentials))],
		"its capabilities",
	);
	for (const bit of capabilitiesIn(credentials.ambient & credentials.permitted & credentials.inheritable))
		add(
			"prctl",
			[BigInt(PR.CAP_AMBIENT), BigInt(PR_CAP_AMBIENT.RAISE), BigInt(bit), 0n, 0n],
			`keeps ${capabilityName(bit)} across exec`,
		);
	if (isAnother(credentials, facts))
		for (const [call, id] of [
			["getuid", uid],
			["geteuid", euid],
			["getgid", gid],
			["getegid", egid],
		] as const)
			list.add("credentials", call, [], "it is who it was to be", { expect: { exactly: BigInt(id) } });
	if (credentials.noNewPrivileges) prctl(PR.SET_NO_NEW_PRIVS, 1, "exec gives it no new privileges");
}

/** Whether it is somebody else than the restorer: then it looks who it is, before it is let go as that. */
const isAnother = ({ uid, euid, gid, egid }: Credentials, { user, userNamespace }: HostFacts): boolean =>
	userNamespace === undefined &&
	([uid, euid].some((id) => id !== (user?.uid ?? 0)) || [gid, egid].some((id) => id !== (user?.gid ?? 0)));

/** Follows the effective id unless it was set apart. The call returns the old one whatever happens, so it is asked twice. */
function addFilesystemId(list: ListDraft, call: "setfsuid" | "setfsgid", id: number, effective: number): void {
	if (id === effective) return;
	const what = call === "setfsuid" ? "user" : "group";
	list.add("credentials", call, [BigInt(id)], `its ${what} for files`, { expect: "anything" });
	list.add("credentials", call, [BigInt(id)], `its ${what} for files is that`, { expect: { exactly: BigInt(id) } });
}

function groupBytes(groups: readonly number[]): Uint8Array {
	const bytes = new Uint8Array(groups.length * u32.size);
	for (const [i, group] of groups.entries()) u32.write(viewOf(bytes), i * u32.size, group);
	return bytes;
}

const ownHeader = (): Place =>
	bytesDatum("capset header", capUserHeader.encode({ version: CAPABILITY_VERSION_3, pid: 0 }), { align: 4 });
