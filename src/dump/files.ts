import { statSync } from "node:fs";
import { dirname } from "node:path";
import type { Agent } from "../agent/agent.ts";
import { defined } from "../bytes/defined.ts";
import { bytesFromText } from "../bytes/text.ts";
import type { OpenDescriptor } from "../descriptors/ask.ts";
import type { DescriptionCommon } from "../descriptors/description.ts";
import { type Description, kinds, see } from "../descriptors/kinds.ts";
import { caution, type Finding, loss } from "../finding.ts";
import type { Descriptor, Files } from "../forest/files.ts";
import { O, O_ACCMODE } from "../linux/open.ts";
import { withoutDeleted } from "../proc/deleted.ts";
import { readLink } from "../proc/links.ts";
import type { ProcStatus } from "../proc/status.ts";
import { copyDescriptorsOf, type DescriptorCopies } from "../trace/descriptors.ts";
import { askOf } from "./ask.ts";
import type { MissingDescriptors } from "./descriptor-policy.ts";
import type { LiveGhosts } from "./ghosts.ts";
import { lookAt } from "./look.ts";
import type { LiveObjects } from "./objects.ts";
import { openDescriptors } from "./open-files.ts";
import { socketSights } from "./socket-sights.ts";

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
	const before = openDescriptors(pid);
	const copies = await copyDescriptorsOf(agent, pid);
	try {
		const look = lookAt(pid, await socketSights(pid, before, copies));
		const counting = before.filter((one) => kinds[see(one, look).kind].living.before !== undefined);
		await copies.wind(counting.map(({ number }) => number));
		const open = openDescriptors(pid);
		const groups = await groupsOf(open, copies);
		const owners = await copies.owners(groups.map(([{ number }]) => number));
		const seen = new Map(open.map((one) => [one.number, see(one, look)]));
		const lost = new Set([...seen].flatMap(([number, { undumpable }]) => (undumpable === undefined ? [] : [number])));
		const firsts = groups.map(([first]) => first);
		const ask = askOf({ agent, look, firsts, copies, objects, ghosts, lost, report });
		const descriptors: Descriptor[] = [];
		for (const [i, group] of groups.entries()) {
			const [first] = group;
			const owner = owners[i];
			const common: DescriptionCommon = {
				...{ id: i + 1, flags: first.info.flags & ~O.CLOEXEC },
				...(owner === undefined || (owner.pid === 0 && owner.signal === 0) ? {} : { owner }),
			};
			const sighting = seen.get(first.number);
			const known = sighting?.undumpable === undefined ? await sighting?.describe(common, ask) : undefined;
			const description = known ?? substitute(first, i + 1, sighting?.undumpable ?? first.link, missing, report);
			for (const { number, info, link } of group) {
				if (description !== undefined)
					descriptors.push({ number, closeOnExec: (info.flags & O.CLOEXEC) !== 0, description });
				if (info.locks.length > 0)
					report(loss("file-locks", `descriptor ${number}`, `holds a lock on ${link}; whoever comes back does not`));
			}
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

/** What takes the place of an fd that cannot be dumped: another file, or nothing. */
function substitute(
	{ number, info }: OpenDescriptor,
	id: number,
	words: string,
	missing: MissingDescriptors,
	report: (finding: Finding) => void,
): Description | undefined {
	const subject = `descriptor ${number}`;
	if (missing !== "null") {
		report(loss("descriptor-dropped", subject, `was ${words}; it is closed`));
		return undefined;
	}
	report(loss("replaced", subject, `was ${words}; /dev/null takes its place`));
	const flags = info.flags & (O_ACCMODE | O.APPEND | O.NONBLOCK | O.LARGEFILE);
	const path = "/dev/null";
	return { kind: "file", id, flags, path, mode: statSync(path).mode, position: 0n, unlinked: false };
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
