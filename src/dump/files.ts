import { statSync } from "node:fs";
import { dirname } from "node:path";
import type { Agent } from "../agent/agent.ts";
import { defined } from "../bytes/defined.ts";
import { extent } from "../bytes/extent.ts";
import { fromBuffer } from "../bytes/source.ts";
import { bytesFromText } from "../bytes/text.ts";
import { caution, type Finding, loss, note } from "../finding.ts";
import type { Description, Descriptor, Files, Pipe } from "../forest/files.ts";
import { O, O_ACCMODE } from "../linux/open.ts";
import { S_IFDIR, S_IFMT } from "../linux/stat.ts";
import { withoutDeleted } from "../proc/deleted.ts";
import { readLink } from "../proc/links.ts";
import type { ProcStatus } from "../proc/status.ts";
import { copyDescriptorsOf, type DescriptorCopies } from "../trace/descriptors.ts";
import { type Described, describe } from "./descriptions.ts";
import { type MissingDescriptors, wordsOf } from "./descriptor-policy.ts";
import type { LiveGhosts } from "./ghosts.ts";
import type { LiveObjects } from "./objects.ts";
import { kindOf, type OpenDescriptor, openDescriptors, pipeKey } from "./open-files.ts";

/** What to do about fds that cannot be dumped, and where to report it. */
export interface FilesPolicy {
	readonly missing: MissingDescriptors;
	readonly objects: LiveObjects;
	readonly ghosts: LiveGhosts;
	readonly report: (finding: Finding) => void;
}

/**
 * What a stopped process has open, as it is: bytes that wait in pipes are copied and stay there.
 *
 * @throws NecromancerError ERR_IO, ERR_HOST.
 */
export async function filesOf(agent: Agent, pid: number, status: ProcStatus, policy: FilesPolicy): Promise<Files> {
	const { missing, objects, ghosts, report } = policy;
	const copies = await copyDescriptorsOf(agent, pid);
	try {
		const before = openDescriptors(pid);
		await copies.wind(before.filter((one) => kindOf(one).kind === "timerfd").map(({ number }) => number));
		const open = openDescriptors(pid);
		const groups = await groupsOf(open, copies);
		const owners = await copies.owners(groups.map(([{ number }]) => number));
		const pipes = await pipesOf(groups, copies);
		const lost = new Set(open.filter((one) => wordsOf(pid, one) !== undefined).map(({ number }) => number));
		const descriptors: Descriptor[] = [];
		for (const [i, group] of groups.entries()) {
			const [first] = group;
			const owner = owners[i];
			const described: Described = {
				...{ pid, id: i + 1, open: first, objects, ghosts, pipes, lost },
				...(owner === undefined || (owner.pid === 0 && owner.signal === 0) ? {} : { owner }),
			};
			reportRenamed(first, report);
			const description = describe(described) ?? substitute(described, missing, report);
			for (const { number, info, link } of group) {
				if (description !== undefined)
					descriptors.push({ number, closeOnExec: (info.flags & O.CLOEXEC) !== 0, description });
				if (info.locks.length > 0)
					report(loss("file-locks", `descriptor ${number}`, `holds a lock on ${link}; whoever comes back does not`));
			}
			if (description?.kind === "file" && isDirectoryMode(description.mode) && (owner?.pid ?? 0) !== 0)
				report(loss("attribute", `descriptor ${first.number}`, DNOTIFY));
			if (description?.kind === "epoll") reportUnwatched(first, lost, report);
		}
		return {
			descriptors: descriptors.sort((a, b) => a.number - b.number),
			cwd: directoryOf(pid, "cwd", report),
			root: directoryOf(pid, "root", report),
			...defined({ umask: status.umask }),
		};
	} finally {
		await copies.close();
	}
}

type SameDescription = readonly [OpenDescriptor, ...OpenDescriptor[]];

/** Descriptors that are one open file, each with its first number: dup(2) made them, or inheritance. */
async function groupsOf(
	open: readonly OpenDescriptor[],
	copies: DescriptorCopies,
): Promise<readonly SameDescription[]> {
	const alike = new Map<string, OpenDescriptor[][]>();
	const groups: OpenDescriptor[][] = [];
	// one open file has one offset and one set of flags: only what looks the same needs to be compared
	for (const descriptor of open) {
		const { link, info } = descriptor;
		const look = `${link} ${info.position} ${info.flags & ~O.CLOEXEC}`;
		const candidates = alike.get(look) ?? [];
		alike.set(look, candidates);
		const pairs = candidates.map(([first]): [number, number] => [first?.number ?? 0, descriptor.number]);
		const same = pairs.length === 0 ? [] : await copies.same(pairs);
		// where the kernel does not tell, what looks the same is taken for it
		const group = candidates[same.findIndex((answer) => answer !== false)];
		if (group !== undefined) group.push(descriptor);
		else {
			const fresh = [descriptor];
			candidates.push(fresh);
			groups.push(fresh);
		}
	}
	return groups.filter((group): group is [OpenDescriptor, ...OpenDescriptor[]] => group.length > 0);
}

/** All pipes and FIFOs by device and inode, with what waits in them where the process has an end to read from. */
async function pipesOf(
	groups: readonly SameDescription[],
	copies: DescriptorCopies,
): Promise<ReadonlyMap<string, Pipe>> {
	const ends = new Map<
		string,
		{ readonly open: OpenDescriptor; readonly readable: boolean; readonly anonymous: boolean }
	>();
	for (const [open] of groups) {
		const { kind } = kindOf(open);
		if (kind !== "pipe" && kind !== "fifo") continue;
		const readable = (open.info.flags & O_ACCMODE) !== O.WRONLY && (open.info.flags & O.PATH) === 0;
		const key = pipeKey(open);
		const known = ends.get(key);
		if (known === undefined || (readable && !known.readable))
			ends.set(key, { open, readable, anonymous: kind === "pipe" });
	}
	const pipes = new Map<string, Pipe>();
	for (const [key, { open, readable, anonymous }] of ends) {
		const { capacity, content } = await copies.pipe(open.number, readable);
		const length = BigInt(content.length);
		pipes.set(key, {
			// the kernel's own number, by which criu restore --inherit-fd names a pipe
			id: anonymous ? Number(open.stat.ino) : pipes.size + 1,
			...(capacity > 0 ? { capacity } : {}),
			...(length === 0n ? {} : { content: extent(fromBuffer(`descriptor ${open.number}`, content), 0n, length) }),
		});
	}
	return pipes;
}

/** What takes the place of an fd that cannot be dumped: another file, or nothing. */
function substitute(
	{ pid, id, open }: Described,
	missing: MissingDescriptors,
	report: (finding: Finding) => void,
): Description | undefined {
	const words = wordsOf(pid, open) ?? open.link;
	const subject = `descriptor ${open.number}`;
	if (missing !== "null") {
		report(loss("descriptor-dropped", subject, `was ${words}; it is closed`));
		return undefined;
	}
	report(loss("replaced", subject, `was ${words}; /dev/null takes its place`));
	const flags = open.info.flags & (O_ACCMODE | O.APPEND | O.NONBLOCK | O.LARGEFILE);
	const path = "/dev/null";
	return { kind: "file", id, flags, path, mode: statSync(path).mode, position: 0n, unlinked: false };
}

/**
 * folklore: fcntl(F_NOTIFY) sets an owner (fs/notify/dnotify), which is how it is recognised; which events were asked for
 * cannot be read.
 */
const DNOTIFY = "is a directory that tells a process of what becomes of it (F_NOTIFY, dnotify); it tells no more";

const isDirectoryMode = (mode = 0): boolean => (mode & S_IFMT) === S_IFDIR;

/** A deleted file that has another hard link. */
function reportRenamed({ number, link, stat }: OpenDescriptor, report: (finding: Finding) => void): void {
	const kind = kindOf({ link, stat });
	if (kind.kind === "file" && kind.path !== link)
		report(note("replaced", `descriptor ${number}`, `was ${link}; it is opened by its other name ${kind.path}`));
}

function reportUnwatched(
	{ number, info }: OpenDescriptor,
	lost: ReadonlySet<number>,
	report: (finding: Finding) => void,
): void {
	for (const target of info.targets)
		if (lost.has(target.number))
			report(
				loss("descriptor-dropped", `descriptor ${number}`, `no longer watches ${target.number}, which is not dumped`),
			);
}

/** Where a directory was deleted, the nearest around it that is there. */
function directoryOf(pid: number, which: "cwd" | "root", report: (finding: Finding) => void): string {
	const link = readLink(pid, which);
	if (isDirectory(link)) return link;
	let path = withoutDeleted(link).path;
	while (!isDirectory(path) && path !== "/") path = dirname(path);
	report(caution("replaced", which, `was ${link}; it is ${path} now`));
	return path;
}

function isDirectory(path: string): boolean {
	try {
		return statSync(Buffer.from(bytesFromText(path))).isDirectory();
	} catch {
		return false;
	}
}
