import type { OpenDescriptor } from "../descriptors/ask.ts";
import { NecromancerError } from "../errors.ts";
import { majorOf, minorOf } from "../linux/stat.ts";
import { descriptorsOf, readFdinfo } from "../proc/fdinfo.ts";
import { readLink, statLink } from "../proc/links.ts";

/** What a process has open. */
export interface OpenOf {
	readonly pid: number;
	readonly open: readonly OpenDescriptor[];
}

/** Ascending. Fds that a process closes meanwhile, when it is not stopped yet, are left out. @throws NecromancerError ERR_IO */
export const openDescriptors = (pid: number): readonly OpenDescriptor[] =>
	descriptorsOf(pid).flatMap((number) => {
		try {
			return {
				number,
				link: readLink(pid, `fd/${number}`),
				info: readFdinfo(pid, number),
				stat: statLink(pid, `fd/${number}`),
			};
		} catch (error) {
			if (isClosed(pid, number)) return [];
			throw error;
		}
	});

function isClosed(pid: number, fd: number): boolean {
	try {
		readLink(pid, `fd/${fd}`);
		return false;
	} catch (error) {
		return error instanceof NecromancerError && error.code === "ERR_PROCESS";
	}
}

/** `00:01`, as /proc/PID/maps has it. */
export const deviceText = (device: bigint): string =>
	[majorOf(device), minorOf(device)].map((part) => part.toString(16).padStart(2, "0")).join(":");

/** Identifies a pipe or FIFO: device and inode, the same for all fds of it. */
export const pipeKey = ({ stat }: Pick<OpenDescriptor, "stat">): string => `${stat.dev} ${stat.ino}`;
