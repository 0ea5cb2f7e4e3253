import type { Agent } from "../agent/agent.ts";
import { i32, i32Bytes, viewOf } from "../bytes/layout.ts";
import { isOutside, type Terminal } from "../descriptors/terminal.ts";
import { refuse } from "../errors.ts";
import type { Forest } from "../forest/forest.ts";
import { errnoName } from "../linux/errno.ts";
import { O } from "../linux/open.ts";
import { TCGETS2, TCSETS2, TIOC, termios2, winsize } from "../linux/tty.ts";

/** Processes in the foreground of their caller's terminal, as a shell has its jobs (tcsetpgrp(3)). */
export interface Job {
	/** They get the terminal, with the settings that they left theirs with. @returns whether its size is another than theirs was. */
	give(): Promise<boolean>;
	/** Their caller has it again, as it was. What they have made of it they are given the next time. */
	take(): Promise<void>;
}

/**
 * @param path the terminal, which is that of the agent's session.
 * @param root the first of them, which leads its process group.
 * @throws NecromancerError ERR_HOST where it is not.
 */
export async function openJob(agent: Agent, forest: Forest, path: string, root: number): Promise<Job> {
	const fd = await agent.call("open", Buffer.from(`${path}\0`), O.RDWR | O.NOCTTY | O.CLOEXEC, 0);
	const [before, group, size] = [new Uint8Array(termios2.size), new Uint8Array(i32.size), new Uint8Array(winsize.size)];
	if (fd < 0n || (await agent.call("ioctl", fd, TIOC.GPGRP, group)) < 0n)
		refuse("ERR_HOST", {
			subject: path,
			finding: fd < 0n ? `cannot be opened: ${errnoName(Number(fd))}` : "is not the terminal of our session",
			expectation: "expected the terminal that we were started from",
			remedy: "start it from a shell, or leave --shell-job out",
		});
	await agent.call("ioctl", fd, TCGETS2, before);
	await agent.call("ioctl", fd, TIOC.GWINSZ, size);
	const had = outsideOf(forest);
	let theirs =
		had?.settings === undefined ? before : termios2.encode({ ...termios2.decode(before), ...withoutSpeeds(had) });
	const window = had?.window;
	const callers = i32.read(viewOf(group), 0);
	const wasThere = forest.processes.some(({ identity }) => identity.pgid === had?.foreground);
	let front = wasThere ? (had?.foreground ?? root) : root;
	const put = (group: number): Promise<bigint> => agent.call("ioctl", fd, TIOC.SPGRP, i32Bytes(group));
	return {
		give: async () => {
			await put(front);
			await agent.call("ioctl", fd, TCSETS2, theirs);
			const now = winsize.decode(size);
			return window !== undefined && (window.ws_row !== now.ws_row || window.ws_col !== now.ws_col);
		},
		take: async () => {
			if ((await agent.call("ioctl", fd, TIOC.GPGRP, group)) >= 0n) front = i32.read(viewOf(group), 0);
			const now = new Uint8Array(termios2.size);
			if ((await agent.call("ioctl", fd, TCGETS2, now)) >= 0n) theirs = now;
			await agent.call("ioctl", fd, TCSETS2, before);
			await put(callers);
		},
	};
}

const outsideOf = ({ shared }: Forest): Terminal | undefined =>
	[...shared.terminals.values()].map(({ thing }) => thing).find(isOutside);

function withoutSpeeds({ settings }: Terminal): object {
	if (settings === undefined) return {};
	const { c_ispeed: _in, c_ospeed: _out, ...rest } = settings;
	return rest;
}
