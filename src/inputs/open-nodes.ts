import { lstatSync } from "node:fs";
import { normalize } from "node:path";
import type { Agent } from "../agent/agent.ts";
import type { Slot, SyscallBatch } from "../agent/batch.ts";
import { defined } from "../bytes/defined.ts";
import { type ByteSource, openFile } from "../bytes/source.ts";
import { bytesFromText, zeroEnded } from "../bytes/text.ts";
import { refuse } from "../errors.ts";
import type { FileIdentity } from "../forest/file-identity.ts";
import type { Gone } from "../forest/verdict.ts";
import { errnoName } from "../linux/errno.ts";
import { AT, AT_FDCWD } from "../linux/fcntl.ts";
import { O, openHow, RESOLVE } from "../linux/open.ts";
import type { Opener } from "../plan/opener.ts";
import { pathOfLink, readLink, statLink } from "../proc/links.ts";
import { foreignLinkOwner, resolveInRoot } from "../rights/resolve-in-root.ts";
import { performAsUser } from "./as-user.ts";
import { CHANGING, goneBy, reachedByLinkOf, UNSEEN } from "./gone.ts";

/** A file of the host that is to be opened. */
export interface WantedNode {
	readonly path: string;
	/** What will be done with it: R_OK, W_OK, X_OK of access(2). */
	readonly access: number;
	/** It may be a symbolic link itself, which is not followed. */
	readonly link?: boolean;
}

/** What stands under a path, open in the agent (O_PATH) and judged by that descriptor. */
export interface OpenedNode extends FileIdentity {
	/** The agent's descriptor. */
	readonly number: number;
	readonly size: bigint;
	readonly mode: number;
	readonly uid: number;
	readonly gid: number;
	/** When it was written to last, nanoseconds since 1970. */
	readonly modified: bigint;
	/** Its path from the root of the tree, without symbolic links. */
	readonly at: string;
	/** Why its user may not do with it what was asked for: an errno. */
	readonly denied?: string;
}

/** Why there is nothing for this user. */
export interface NoNode {
	readonly errno: string;
	/** Another user's link leads there. */
	readonly redirected?: Gone;
}

export type Node = OpenedNode | NoNode;

/** What says that somebody else may have it. */
export const CLOSED: readonly string[] = ["EACCES", "EPERM"];

export const NOTHING: NoNode = { errno: "ENOENT" };

export const isOpened = (node: Node | undefined): node is OpenedNode => node !== undefined && !("errno" in node);

/** The tree that paths start from; nothing leads out of it (RESOLVE_IN_ROOT). */
export interface TreeRoot {
	/** The agent's descriptor. */
	readonly number: number;
	/** On this host, without symbolic links. */
	readonly path: string;
}

export interface NodeOptions {
	/** This host's when absent. */
	readonly root?: TreeRoot;
	/** Follow every link, whoever made it, and the magic ones of /proc: for paths that whoever calls us named. */
	readonly anyLink?: boolean;
}

/** Why a user has nothing there, in the words of the judge. */
export const goneOf = ({ errno, redirected }: NoNode, uid: number): Gone => redirected ?? goneBy(errno, uid);

/** The contents of an opened node. To be closed. */
export const contentOf = ({ pid }: Agent, { number }: OpenedNode, name: string): ByteSource =>
	openFile(pathOfLink(pid, `fd/${number}`), name);

/** include/uapi/linux/limits.h, with the NUL. */
const PATH_MAX = 4096;

/**
 * Has the agent open files with the rights of a process's user: O_PATH, which has no side effects and never blocks, and
 * faccessat2(2) on what was opened. Whatever is known of a file afterwards is known of that descriptor; its name means nothing
 * any more. They stay open, also what he may not use.
 *
 * A path may lead through symbolic links that are root's, the user's or ours, and through nobody else's: permissions stop what
 * the user may not open, this stops being sent to another file that he may open. Links are looked at one by one, and what they
 * come to is opened without following any.
 *
 * @returns by path.
 * @throws NecromancerError ERR_HOST where there are more than may be open at a time.
 */
export async function openNodes(
	agent: Agent,
	opener: Opener,
	wanted: readonly WantedNode[],
	options: NodeOptions = {},
): Promise<Map<string, Node>> {
	const nodes = new Map<string, Node>();
	const proper = wanted.filter(({ path }) => {
		const fits = bytesFromText(path).length < PATH_MAX && !path.includes("\0");
		if (!fits) nodes.set(path, { errno: path.includes("\0") ? "ENOENT" : "ENAMETOOLONG" });
		return fits;
	});
	if (options.anyLink === true) {
		await openInto(nodes, agent, opener, proper, { resolve: 0 }, options);
		for (const { path } of proper) nodes.set(path, whereItIs(agent, nodes.get(path), options));
		return nodes;
	}
	const direct = proper.filter(({ path }) => {
		const absolute = path.startsWith("/");
		if (!absolute) nodes.set(path, { errno: "ENOENT" });
		return absolute;
	});
	await openInto(nodes, agent, opener, direct, { resolve: RESOLVE.NO_SYMLINKS | RESOLVE.NO_MAGICLINKS }, options);
	const linked = direct.filter(({ path }) => errnoIn(nodes.get(path)) === "ELOOP");
	if (linked.length > 0) await openLinked(nodes, agent, opener, linked, options);
	const hidden = direct.filter(({ path }) => FILTERED.includes(errnoIn(nodes.get(path)) ?? ""));
	if (hidden.length > 0) await openLinked(nodes, agent, opener, hidden, options, true);
	return nodes;
}

/** What filters answer that do not know openat2(2) (Linux 5.6), and kernels before it. O_PATH itself knows no EPERM. */
const FILTERED: readonly string[] = ["ENOSYS", "EPERM"];

const errnoIn = (node: Node | undefined): string | undefined =>
	node !== undefined && "errno" in node ? node.errno : undefined;

/** @param old openat2(2) cannot be called: what was opened is held against its name. */
async function openLinked(
	nodes: Map<string, Node>,
	agent: Agent,
	opener: Opener,
	wanted: readonly WantedNode[],
	options: NodeOptions,
	old = false,
): Promise<void> {
	const ends = new Map<string, WantedNode[]>();
	const unseen: WantedNode[] = [];
	for (const want of wanted) {
		const reached = resolveInRoot(options.root?.path ?? "/", want.path);
		if (reached === undefined) unseen.push(want);
		else {
			const stranger = foreignLinkOwner(reached, opener.user.uid);
			if (stranger === undefined) ends.set(reached.inner, [...(ends.get(reached.inner) ?? []), want]);
			else nodes.set(want.path, { errno: "ELOOP", redirected: reachedByLinkOf(stranger) });
		}
	}
	const way = (resolve: number): Way => (old ? { old } : { resolve });
	// nobody has seen whose links lead there: that way is tried for nothing but why there is nothing
	await openInto(nodes, agent, opener, unseen, way(RESOLVE.NO_MAGICLINKS), options);
	for (const { path } of unseen) {
		const node = nodes.get(path);
		if (!isOpened(node)) continue;
		await agent.call("close", node.number);
		nodes.set(path, { errno: "ELOOP", redirected: UNSEEN });
	}
	const found = new Map<string, Node>();
	const resolved = [...ends].map(([path, wants]) => ({ path, access: wants.reduce((all, it) => all | it.access, 0) }));
	await openInto(found, agent, opener, resolved, way(RESOLVE.NO_SYMLINKS | RESOLVE.NO_MAGICLINKS), options);
	for (const [path, wants] of ends) {
		const node = found.get(path) ?? { errno: "ENOENT" };
		const other = errnoIn(node) === "ELOOP" || (old && isOpened(node) && !isNamed(agent, node, path, options));
		const verdict = other ? { errno: "ELOOP", redirected: CHANGING } : node;
		for (const { path } of wants) nodes.set(path, verdict);
	}
}

/** What was opened by any links, by the name that the kernel has for it. */
function whereItIs({ pid }: Agent, node: Node | undefined, { root }: NodeOptions): Node {
	if (!isOpened(node)) return node ?? { errno: "ENOENT" };
	const name = readLink(pid, `fd/${node.number}`);
	const lead = root === undefined || root.path === "/" ? "" : root.path;
	return { ...node, at: name.startsWith(`${lead}/`) ? name.slice(lead.length) : name };
}

function isNamed({ pid }: Agent, { number, device, inode }: OpenedNode, path: string, { root }: NodeOptions): boolean {
	const whole = `${root === undefined || root.path === "/" ? "" : root.path}${path}`;
	if (readLink(pid, `fd/${number}`) === whole) return true;
	const there = lstatSync(Buffer.from(bytesFromText(whole)), { bigint: true, throwIfNoEntry: false });
	return there?.dev === device && there.ino === inode;
}

/** How a path is followed: RESOLVE_ bits of openat2(2), or as openat(2) does. */
type Way = { readonly resolve: number } | { readonly old: true };

async function openInto(
	nodes: Map<string, Node>,
	agent: Agent,
	opener: Opener,
	wanted: readonly WantedNode[],
	way: Way,
	{ root }: NodeOptions,
): Promise<void> {
	for (const portion of portionsOf(wanted)) {
		const { added, done } = await performAsUser(agent, opener, (batch) => {
			const empty = batch.put(Buffer.from("\0"));
			return portion.map(({ path, access, link }) => {
				const flags = O.PATH | O.CLOEXEC | (link === true ? O.NOFOLLOW : 0);
				const fd = addOpen(batch, path, flags, way, root);
				return { fd, may: batch.call("faccessat2", { valueOf: fd }, empty, access, AT.EMPTY_PATH | AT.EACCESS) };
			});
		});
		for (const [i, { path }] of portion.entries()) {
			const { fd, may } = added[i] as { readonly fd: Slot; readonly may: Slot };
			nodes.set(path, nodeOf(agent, Number(done.result(fd)), Number(done.result(may)), path));
		}
	}
}

function addOpen(batch: SyscallBatch, path: string, flags: number, way: Way, root: NodeOptions["root"]): Slot {
	const name = batch.put(zeroEnded(path), 1);
	if ("old" in way) {
		const whole = root === undefined || root.path === "/" ? name : batch.put(Buffer.from(`${root.path}${path}\0`), 1);
		return batch.call("openat", AT_FDCWD, whole, flags, 0);
	}
	const resolve = BigInt(way.resolve | (root === undefined ? 0 : RESOLVE.IN_ROOT));
	const how = openHow.encode({ flags: BigInt(flags), mode: 0n, resolve });
	return batch.call("openat2", root === undefined ? AT_FDCWD : root.number, name, batch.put(how), openHow.size);
}

function nodeOf(agent: Agent, fd: number, may: number, path: string): Node {
	if (fd < 0 && ["EMFILE", "ENFILE"].includes(errnoName(fd)))
		refuse("ERR_HOST", {
			subject: path,
			finding: `cannot be opened: ${errnoName(fd)}`,
			expectation: "expected all files of the process to be open at a time",
			remedy: "raise RLIMIT_NOFILE (ulimit -n)",
		});
	if (fd < 0) return errnoName(fd) === NOTHING.errno ? NOTHING : { errno: errnoName(fd) };
	const { dev, ino, birthtimeNs, size, mode, uid, gid, mtimeNs } = statLink(agent.pid, `fd/${fd}`);
	const file = { device: dev, inode: ino, birth: birthtimeNs, size, mode: Number(mode) };
	const denied = deniedBy(may);
	return {
		...{ number: fd, ...file, uid: Number(uid), gid: Number(gid), modified: mtimeNs },
		...{ at: normalize(path), ...defined({ denied }) },
	};
}

/**
 * folklore: seccomp filters of containers that are older than faccessat2 (Linux 5.8) answer ENOSYS or EPERM; then opening it
 * decides.
 */
const deniedBy = (result: number): string | undefined =>
	result < 0 && !FILTERED.includes(errnoName(result)) ? errnoName(result) : undefined;

/**
 * Asks what a process's user may do with files that are open already.
 *
 * @returns for each the errno of faccessat2(2), or `undefined` where he may.
 */
export async function deniedAccess(
	agent: Agent,
	opener: Opener,
	asked: readonly { readonly number: number; readonly access: number }[],
): Promise<readonly (string | undefined)[]> {
	const denied: (string | undefined)[] = [];
	for (let from = 0; from < asked.length; from += AT_ONCE) {
		const { added, done } = await performAsUser(agent, opener, (batch) => {
			const empty = batch.put(Buffer.from("\0"));
			return asked
				.slice(from, from + AT_ONCE)
				.map(({ number, access }) => batch.call("faccessat2", number, empty, access, AT.EMPTY_PATH | AT.EACCESS));
		});
		denied.push(...added.map((slot) => deniedBy(Number(done.result(slot)))));
	}
	return denied;
}

/** Limits of one batch: files, and bytes of their names. */
const [AT_ONCE, NAMES] = [300, 65_536];

function portionsOf(wanted: readonly WantedNode[]): WantedNode[][] {
	const portions: WantedNode[][] = [];
	let room = 0;
	for (const want of wanted) {
		const portion = portions.at(-1);
		room -= want.path.length * 4;
		if (portion === undefined || room < 0 || portion.length === AT_ONCE) {
			portions.push([want]);
			room = NAMES - want.path.length * 4;
		} else portion.push(want);
	}
	return portions;
}
