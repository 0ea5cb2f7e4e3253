import { readFileSync } from "node:fs";
import { maskFrom } from "../linux/mempolicy.ts";
import type { ProcStatus } from "../proc/status.ts";

/** The processors that a thread keeps to; `undefined` for one that runs on all there are. */
export function affinityOf({ processors }: ProcStatus, online = onlineProcessors()): bigint | undefined {
	return online === 0n || (processors & online) === online || processors === 0n ? undefined : processors;
}

function onlineProcessors(): bigint {
	try {
		return maskFrom(readFileSync("/sys/devices/system/cpu/online", "latin1"));
	} catch {
		return 0n;
	}
}
