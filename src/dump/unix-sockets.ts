import type { Agent } from "../agent/agent.ts";
import { extent } from "../bytes/extent.ts";
import { fromBuffer } from "../bytes/source.ts";
import { textFromBytes } from "../bytes/text.ts";
import type { BoundFile, OpenDescriptor } from "../descriptors/ask.ts";
import type { UnixMessage } from "../descriptors/unix-description.ts";
import { type UnixSights, unixSightsOf } from "../descriptors/unix-sights.ts";
import { refuse } from "../errors.ts";
import { isRelative } from "../linux/unix.ts";
import type { UnixDiag } from "../linux/unix-diag.ts";
import { withoutDeleted } from "../proc/deleted.ts";
import { descriptorsOf } from "../proc/fdinfo.ts";
import { ifShown } from "../proc/if-shown.ts";
import { readLink, statLink } from "../proc/links.ts";
import { openSocketFile, peekMessages, unixSocketsAmong } from "../trace/unix-sockets.ts";
import { lookAt, modeAndOwner } from "./looks.ts";
import type { OpenOf } from "./open-files.ts";

/**
 * The unix sockets among what processes have open. Those that a running process closes meanwhile are left out.
 *
 * @param known What some of them have open, where that was read already.
 * @throws NecromancerError ERR_HOST
 */
export async function unixSights(agent: Agent, pids: readonly number[], known: readonly OpenOf[]): Promise<UnixSights> {
	const read = new Map(known.map(({ pid, open }) => [pid, open.map(({ link }) => link)]));
	const inodes = new Set<number>();
	for (const pid of pids)
		for (const link of read.get(pid) ?? linksOf(pid)) {
			const inode = /^socket:\[(\d+)\]$/.exec(link)?.[1];
			if (inode !== undefined) inodes.add(Number(inode));
		}
	return unixSightsOf(await unixSocketsAmong(agent, [...inodes]), pids);
}

const linksOf = (pid: number): readonly string[] =>
	(ifShown(() => descriptorsOf(pid)) ?? []).flatMap((number) => ifShown(() => readLink(pid, `fd/${number}`)) ?? []);

/**
 * The file that a unix socket is bound to. Without CAP_NET_ADMIN the kernel does not open it: then it is looked for where its name
 * leads to, a relative one from the working directory on.
 */
export async function boundFile(
	agent: Agent,
	pid: number,
	{ name, file }: UnixDiag,
	socket: bigint,
): Promise<BoundFile | undefined> {
	if (name === undefined) return undefined;
	const own = textFromBytes(name);
	const relative = isRelative(name);
	const opened = await openSocketFile(agent, socket);
	if (opened < 0n) {
		const directory = readLink(pid, "cwd");
		const found = lookAt(relative ? `${directory}/${own}` : own, false);
		return found === undefined || found.ino !== BigInt(file ?? 0)
			? undefined
			: { looks: modeAndOwner(found), deleted: false, ...(relative ? { directory } : {}) };
	}
	try {
		const stat = statLink(agent.pid, `fd/${Number(opened)}`);
		const { path } = withoutDeleted(readLink(agent.pid, `fd/${Number(opened)}`));
		const directory = path.endsWith(`/${own}`) ? path.slice(0, -own.length - 1) || "/" : readLink(pid, "cwd");
		const there = lookAt(relative ? `${directory}/${own}` : own, false);
		return {
			looks: modeAndOwner(stat),
			deleted: there?.ino !== stat.ino || there.dev !== stat.dev,
			...(relative ? { directory } : {}),
		};
	} finally {
		await agent.call("close", opened);
	}
}

/**
 * What waits in a unix socket.
 *
 * @throws NecromancerError ERR_UNSUPPORTED for descriptors in it, ERR_HOST.
 */
export async function messagesIn(
	agent: Agent,
	{ number }: OpenDescriptor,
	socket: bigint,
	type: number,
): Promise<readonly UnixMessage[]> {
	const subject = `descriptor ${number}`;
	const peeked = await peekMessages(agent, socket, type, subject);
	const passed = peeked.flatMap(({ rights }) => rights);
	for (const fd of passed) await agent.call("close", fd);
	if (passed.length > 0)
		refuse("ERR_UNSUPPORTED", {
			subject,
			finding: `is a unix socket in which ${passed.length} descriptors wait (SCM_RIGHTS)`,
			expectation: "which this version cannot dump",
			remedy: "let the process receive them first",
		});
	return peeked.map(({ bytes, from }) => ({
		content: extent(fromBuffer(subject, bytes), 0n, BigInt(bytes.length)),
		...(from === undefined ? {} : { from }),
	}));
}
