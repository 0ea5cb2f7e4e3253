import { ifShown } from "./if-shown.ts";
import { isThere, numbersIn, processIds, textIn } from "./read.ts";
import type { Whose } from "./whose.ts";

/** The ids of all processes, as the kernel lists them; none where /proc is not there. */
export const processes = (): number[] => ifShown(processIds) ?? [];

/** Whether some process or thread has that id, as far as we are shown. */
export const isIdTaken = (id: number): boolean => isThere(`${id}`);

/** Thread ids, as the kernel lists them. */
export const threadsOf = (pid: number): number[] => numbersIn(pid, "task");

/** Processes that any of its threads has made and nobody has reaped; none where the kernel does not say (CONFIG_PROC_CHILDREN). */
export const childrenOf = (pid: number): number[] =>
	threadsOf(pid).flatMap((tid) =>
		(ifShown(() => textIn({ pid, tid }, "children")) ?? "")
			.split(" ")
			.filter((word) => word !== "")
			.map(Number),
	);

/** The number of the system call that a thread waits in; `undefined` of one that runs, or stopped outside any. */
export function readSyscall(whose: Whose): number | undefined {
	const [number = ""] = textIn(whose, "syscall").split(" ");
	return /^\d+$/.test(number) ? Number(number) : undefined;
}
