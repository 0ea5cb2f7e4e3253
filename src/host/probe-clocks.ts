import type { Agent } from "../agent/agent.ts";
import { AT_FDCWD } from "../linux/fcntl.ts";
import { O } from "../linux/open.ts";
import { CLONE } from "../linux/sched.ts";
import { timensOffsetsText } from "../proc/namespaces.ts";
import { inChild, type Obstacle } from "./probe.ts";

/** Probes whether a process can be made in a new time namespace with offsets; with a user namespace if asked. */
export const probeTimeNamespace = (
	agent: Agent,
	{ withUser = false }: { readonly withUser?: boolean } = {},
): Promise<Obstacle> =>
	inChild(
		agent,
		(list, batch) => {
			const text = Buffer.from(timensOffsetsText({ monotonic: SOME, boottime: SOME }));
			const open = (path: string, flags: number) =>
				list.call("openat", [AT_FDCWD, batch.put(Buffer.from(`${path}\0`)), flags]);
			list.call("unshare", [CLONE.NEWTIME]);
			list.call("write", [{ valueOf: open("/proc/self/timens_offsets", O.WRONLY) }, batch.put(text), text.length]);
			const namespace = open("/proc/self/ns/time_for_children", O.RDONLY);
			return list.call("setns", [{ valueOf: namespace }, CLONE.NEWTIME], { anyway: true });
		},
		withUser ? { flags: CLONE.NEWUSER } : {},
	);

/** Any offset but 0, nanoseconds; positive, since a clock may not become negative right after boot. */
const SOME = 1_000_000_000n;
