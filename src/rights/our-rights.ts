import { readFileSync } from "node:fs";
import type { OurRights } from "./privilege.ts";

/** CAP_SETGID, CAP_SETUID (include/uapi/linux/capability.h). */
const BOTH = (1n << 6n) | (1n << 7n);

/** What /proc says of this process; an ordinary user's rights where it says nothing. */
export const ourRights = (): OurRights =>
	rightsFrom({
		status: read("/proc/self/status"),
		uidMap: read("/proc/self/uid_map"),
		gidMap: read("/proc/self/gid_map"),
	});

/** The same from the texts: of status, and of the maps of the user namespace (user_namespaces(7)). */
export function rightsFrom(proc: {
	readonly status: string;
	readonly uidMap: string;
	readonly gidMap: string;
}): OurRights {
	const effective = (name: string): number =>
		Number(new RegExp(`^${name}:\\s+\\d+\\s+(\\d+)`, "m").exec(proc.status)?.[1] ?? NOBODY);
	const set = (name: string): bigint =>
		BigInt(`0x${new RegExp(`^${name}:\\s*([0-9a-f]+)$`, "m").exec(proc.status)?.[1] ?? "0"}`);
	const [uid, gid] = [effective("Uid"), effective("Gid")];
	const changes = (set("CapEff") & BOTH) === BOTH;
	return {
		uid,
		gid,
		capabilities: set("CapPrm") & set("CapBnd"),
		mayBecome: (other, group) =>
			(other === uid && group === gid) || (changes && isMapped(proc.uidMap, other) && isMapped(proc.gidMap, group)),
	};
}

const NOBODY = 65534;

/** Rows of: first id inside, first id outside, count. */
const isMapped = (map: string, id: number): boolean =>
	[...map.matchAll(/^\s*(\d+)\s+\d+\s+(\d+)$/gm)].some(
		([, first, count]) => id >= Number(first) && id < Number(first) + Number(count),
	);

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
