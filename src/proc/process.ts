import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { attempt } from "../bytes/source.ts";
import { textFromBytes } from "../bytes/text.ts";

/*
 * A process's directory below /proc. Every failure is ERR_IO about the file.
 */

/** The text of one file: `stat`, `task/12/comm`. */
export const ofProcess = (pid: number, name: string): string => textFromBytes(bytesOfProcess(pid, name));

export const bytesOfProcess = (pid: number, name: string): Buffer =>
	attempt(`/proc/${pid}/${name}`, () => readFileSync(`/proc/${pid}/${name}`));

/** Where a link leads: `exe`, `cwd`, `fd/3`. */
export const linkOfProcess = (pid: number, name: string): string =>
	textFromBytes(attempt(`/proc/${pid}/${name}`, () => readlinkSync(`/proc/${pid}/${name}`, "buffer")));

/** Thread ids, as the kernel lists them. */
export const threadsOf = (pid: number): number[] =>
	attempt(`/proc/${pid}/task`, () => readdirSync(`/proc/${pid}/task`)).map(Number);

/** Descriptors, ascending. */
export const descriptorsOf = (pid: number): number[] =>
	attempt(`/proc/${pid}/fd`, () => readdirSync(`/proc/${pid}/fd`))
		.map(Number)
		.sort((a, b) => a - b);

/** Processes that any of its threads has made and nobody has reaped; none where the kernel does not say (CONFIG_PROC_CHILDREN). */
export const childrenOf = (pid: number): number[] =>
	threadsOf(pid).flatMap((tid) => {
		try {
			return readFileSync(`/proc/${pid}/task/${tid}/children`, "latin1")
				.split(" ")
				.filter((word) => word !== "")
				.map(Number);
		} catch {
			return [];
		}
	});
