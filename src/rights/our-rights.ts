import { readFileSync } from "node:fs";
import { CAP, includesCapability, NOBODY } from "../linux/credentials.ts";
import { ifShown } from "../proc/if-shown.ts";
import { type IdRange, readIdMap } from "../proc/namespaces.ts";
import { type ProcStatus, readStatus } from "../proc/status.ts";
import type { OurRights } from "./privilege.ts";

/** What /proc says of this process; an ordinary user's rights where it says nothing. */
export const ourRights = (): OurRights =>
	rightsFrom({
		status: ifShown(() => readStatus("self")),
		uidMap: ifShown(() => readIdMap("self", "uid")) ?? [],
		gidMap: ifShown(() => readIdMap("self", "gid")) ?? [],
	});

type Status = Pick<ProcStatus, "uids" | "gids" | "effective" | "permitted" | "bounding">;

const four: ProcStatus["uids"] = [NOBODY, NOBODY, NOBODY, NOBODY];
const nobody: Status = { uids: four, gids: four, effective: 0n, permitted: 0n, bounding: 0n };

/** The same from what was read: status, and the maps of the user namespace. */
export function rightsFrom(proc: {
	readonly status: Status | undefined;
	readonly uidMap: readonly IdRange[];
	readonly gidMap: readonly IdRange[];
}): OurRights {
	const { uids, gids, effective, permitted, bounding } = proc.status ?? nobody;
	const [uid, gid] = [uids[1], gids[1]];
	const changes = includesCapability(effective, CAP.SETUID) && includesCapability(effective, CAP.SETGID);
	return {
		uid,
		gid,
		capabilities: permitted & bounding,
		mayBecome: (other, group) =>
			(other === uid && group === gid) || (changes && isMapped(proc.uidMap, other) && isMapped(proc.gidMap, group)),
	};
}

const isMapped = (map: readonly IdRange[], id: number): boolean =>
	map.some(({ inside, count }) => id >= inside && id < inside + count);

/**
 * The primary group of a user, by /etc/passwd (passwd(5)). Users that only a directory service knows are not known here.
 */
export function primaryGroup(uid: number, passwd = read("/etc/passwd")): number | undefined {
	const [, gid] = new RegExp(`^[^:\\n]*:[^:\\n]*:0*${uid}:(\\d+):`, "m").exec(passwd) ?? [];
	return gid === undefined ? undefined : Number(gid);
}

/** All groups of a user, the primary one first, by /etc/passwd and /etc/group (group(5)). */
export function groupsOfUser(uid: number, passwd = read("/etc/passwd"), group = read("/etc/group")): readonly number[] {
	const [, name, gid] = new RegExp(`^([^:\\n]*):[^:\\n]*:0*${uid}:(\\d+):`, "m").exec(passwd) ?? [];
	if (name === undefined || gid === undefined) return [];
	const others = [...group.matchAll(/^[^:\n]*:[^:\n]*:(\d+):(.*)$/gm)].filter(([, , members = ""]) =>
		members.split(",").includes(name),
	);
	return [...new Set([Number(gid), ...others.map(([, id]) => Number(id))])];
}

/** Whether a group has no member but one user, by the same files. */
export function isAlone(uid: number, gid: number, passwd = read("/etc/passwd"), group = read("/etc/group")): boolean {
	const users = [...passwd.matchAll(/^([^:\n]*):[^:\n]*:(\d+):(\d+):/gm)];
	const name = users.find(([, , id]) => Number(id) === uid)?.[1];
	const primary = users.filter(([, , , id]) => Number(id) === gid).map(([, user]) => user);
	const [, listed = ""] = new RegExp(`^[^:\\n]*:[^:\\n]*:0*${gid}:(.*)$`, "m").exec(group) ?? [];
	const members = [...primary, ...listed.split(",").filter(Boolean)];
	return name !== undefined && members.every((member) => member === name);
}

function read(path: string): string {
	try {
		return readFileSync(path, "latin1");
	} catch {
		return "";
	}
}
