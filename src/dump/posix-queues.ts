import type { Agent } from "../agent/agent.ts";
import { u16, viewOf } from "../bytes/layout.ts";
import { textFromBytes } from "../bytes/text.ts";
import { O } from "../linux/open.ts";
import { dirent64 } from "../linux/stat.ts";

/** fsconfig(2) and its kin (include/uapi/linux/mount.h). */
const FSOPEN_CLOEXEC = 1;
const FSMOUNT_CLOEXEC = 1;
const FSCONFIG_CMD_CREATE = 6;

/** Names that are looked at: more are as good as many. */
const ROOM = 4096;

/**
 * The names of POSIX message queues in the IPC namespace that an agent lives in: of a file system that is mounted nowhere.
 *
 * @returns none where the kernel has no such file system, or shows none to us.
 */
export async function posixQueues(agent: Agent): Promise<readonly string[]> {
	const open: bigint[] = [];
	const opened = async (fd: Promise<bigint>): Promise<bigint> => {
		const number = await fd;
		if (number >= 0n) open.push(number);
		return number;
	};
	try {
		const around = await opened(agent.call("fsopen", Buffer.from("mqueue\0"), FSOPEN_CLOEXEC));
		if (around < 0n || (await agent.call("fsconfig", around, FSCONFIG_CMD_CREATE, 0, 0, 0)) < 0n) return [];
		const mount = await opened(agent.call("fsmount", around, FSMOUNT_CLOEXEC, 0));
		if (mount < 0n) return [];
		const flags = O.RDONLY | O.DIRECTORY | O.CLOEXEC;
		const directory = await opened(agent.call("openat", mount, Buffer.from(".\0"), flags));
		const entries = new Uint8Array(ROOM);
		const length = directory < 0n ? directory : await agent.call("getdents64", directory, entries, ROOM);
		return length < 0n ? [] : namesIn(entries.subarray(0, Number(length)));
	} finally {
		for (const fd of open.reverse()) await agent.call("close", fd);
	}
}

function namesIn(entries: Uint8Array): string[] {
	const names: string[] = [];
	for (let at = 0; at < entries.length; ) {
		const length = u16.read(viewOf(entries), at + dirent64.offsetOf("d_reclen"));
		if (length === 0) break;
		const name = entries.subarray(at + dirent64.offsetOf("d_name"), at + length);
		names.push(textFromBytes(name.subarray(0, name.indexOf(0))));
		at += length;
	}
	return names.filter((name) => name !== "." && name !== "..");
}
