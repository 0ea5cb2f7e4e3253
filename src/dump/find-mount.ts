import type { Agent } from "../agent/agent.ts";
import { once } from "../bytes/once.ts";
import { zeroEnded } from "../bytes/text.ts";
import { O } from "../linux/open.ts";
import { readFdinfo } from "../proc/fdinfo.ts";
import { readMounts } from "../proc/mounts.ts";

/** Finds where a mount is by its id; `undefined` where its path leads elsewhere, because something is mounted over it. */
export function mountFinder(agent: Agent, pid: number): (id: number) => Promise<string | undefined> {
	const mounts = once(() => readMounts(pid));
	return async (id) => {
		const path = mounts().find((mount) => mount.id === id)?.path;
		if (path === undefined) return undefined;
		const opened = await agent.call("open", zeroEnded(path), O.PATH | O.CLOEXEC);
		if (opened < 0n) return undefined;
		const found = readFdinfo(agent.pid, Number(opened)).field("mnt_id");
		await agent.call("close", opened);
		return found === `${id}` ? path : undefined;
	};
}
