import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

/** The letter of /proc/PID/stat: `S`, `T`, `Z`; `undefined` when there is no such process or thread. */
export function stateOf(pid: number): string | undefined {
	try {
		return /\) (\w)/.exec(readFileSync(`/proc/${pid}/stat`, "latin1"))?.[1];
	} catch {
		return undefined;
	}
}

/** Gone, or only waiting to be reaped by whoever has that duty. */
export const isDead = (pid: number): boolean => [undefined, "Z", "X"].includes(stateOf(pid));

/** Whether something comes true within five seconds. */
export async function soon(holds: () => boolean): Promise<boolean> {
	for (const end = performance.now() + 5000; performance.now() < end; await sleep(5)) if (holds()) return true;
	return holds();
}
