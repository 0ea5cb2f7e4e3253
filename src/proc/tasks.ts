import { ifShown } from "./if-shown.ts";
import { isThere, numbersIn, processIds, textIn } from "./read.ts";
import { readStat } from "./stat.ts";
import type { Whose } from "./whose.ts";

/** The ids of all processes, as the kernel lists them; none where /proc is not there. */
export const processes = (): number[] => ifShown(processIds) ?? [];

/** Whether some process or thread has that id, as far as we are shown. */
export const isIdTaken = (id: number): boolean => isThere(`${id}`);

/** Thread ids, as the kernel lists them. */
export const threadsOf = (pid: number): number[] => numbersIn(pid, "task");

/** Processes whose parent is any of its threads and that nobody has reaped; of one that has ended none. Certain if it stands still. */
export function childrenOf(pid: number): number[] {
	const lists = (ifShown(() => threadsOf(pid)) ?? []).map((tid) => ifShown(() => textIn({ pid, tid }, "children")));
	// a kernel without CONFIG_PROC_CHILDREN has no such file
	if (lists.length > 0 && lists.every((list) => list === undefined))
		return processes().filter((other) => ifShown(() => readStat(other))?.ppid === pid);
	return lists.flatMap((list = "") =>
		list
			.split(" ")
			.filter((word) => word !== "")
			.map(Number),
	);
}

/** All that come from a process, parents before children, those before whom they have made later. */
export function descendantsOf(pid: number): number[] {
	const found = new Set<number>([pid]);
	for (const one of found) for (const child of childrenOf(one)) found.add(child);
	found.delete(pid);
	return [...found];
}

/** The number of the system call that a thread waits in; `undefined` of one that runs, or stopped outside any. */
export function readSyscall(whose: Whose): number | undefined {
	const [number = ""] = textIn(whose, "syscall").split(" ");
	return /^\d+$/.test(number) ? Number(number) : undefined;
}
