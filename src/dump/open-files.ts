import { type BigIntStats, statSync } from "node:fs";
import { bytesFromText } from "../bytes/text.ts";
import { NecromancerError } from "../errors.ts";
import { majorOf, minorOf, S_IFCHR, S_IFDIR, S_IFIFO, S_IFMT, S_IFREG } from "../linux/stat.ts";
import { withoutDeleted } from "../proc/deleted.ts";
import { descriptorsOf, type Fdinfo, readFdinfo } from "../proc/fdinfo.ts";
import { readLink, statLink } from "../proc/links.ts";
import { isNamelessMemory, memfdName } from "./objects.ts";
import { otherName } from "./other-name.ts";

/** A descriptor as /proc shows it. */
export interface OpenDescriptor {
	readonly number: number;
	/** Its path, or a name such as `pipe:[4711]`. */
	readonly link: string;
	readonly info: Fdinfo;
	readonly stat: BigIntStats;
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

/** What a descriptor refers to, as far as its link and its inode tell. */
export type OpenKind =
	| { readonly kind: "file"; readonly path: string }
	| { readonly kind: "fifo"; readonly path: string }
	/** A regular file that its path no longer leads to. */
	| { readonly kind: "ghost"; readonly path: string }
	| { readonly kind: "pipe" | "eventfd" | "epoll" | "signalfd" | "timerfd" }
	| { readonly kind: "memfd"; readonly name: string }
	| { readonly kind: "tty"; readonly path: string }
	/** Not to be dumped yet. */
	| { readonly kind: "other"; readonly words: string };

const anonymous: Readonly<Record<string, OpenKind["kind"] & ("eventfd" | "epoll" | "signalfd" | "timerfd")>> = {
	"anon_inode:[eventfd]": "eventfd",
	"anon_inode:[eventpoll]": "epoll",
	"anon_inode:[signalfd]": "signalfd",
	"anon_inode:[timerfd]": "timerfd",
};

const others: readonly (readonly [RegExp, string])[] = [
	[/^socket:/, "a socket"],
	[/^anon_inode:\[?inotify/, "an inotify instance"],
	[/^anon_inode:\[?fanotify/, "a fanotify group"],
	[/^anon_inode:\[?pidfd|^pidfd:/, "a pidfd"],
	[/^anon_inode:\[?bpf/, "a BPF object"],
	[/^anon_inode:\[?io_uring/, "a ring of io_uring"],
	[/^[a-z_]+:\[\d+\]$/, "a namespace"],
];

export function kindOf({ link, stat }: Pick<OpenDescriptor, "link" | "stat">): OpenKind {
	const named = anonymous[link];
	if (named !== undefined) return { kind: named };
	if (link.startsWith("pipe:[")) return { kind: "pipe" };
	for (const [pattern, words] of others) if (pattern.test(link)) return { kind: "other", words };
	if (!link.startsWith("/")) return { kind: "other", words: link };
	const name = memfdName(link) ?? sharedMemoryName(link, stat);
	if (name !== undefined) return { kind: "memfd", name };
	return namedKind(link, stat);
}

/** Shared memory opened through /proc/PID/map_files: its only name is the kernel's. */
const sharedMemoryName = (link: string, { mode }: BigIntStats): string | undefined =>
	isNamelessMemory(link) && (Number(mode) & S_IFMT) === S_IFREG ? withoutDeleted(link).path : undefined;

function namedKind(link: string, stat: BigIntStats): OpenKind {
	const type = Number(stat.mode) & S_IFMT;
	if (type === S_IFCHR) {
		if (isTerminal(stat.rdev)) return { kind: "tty", path: link };
		if (majorOf(stat.rdev) !== MEMORY_DEVICES) return { kind: "other", words: `the device ${link}` };
	} else if (type !== S_IFREG && type !== S_IFDIR && type !== S_IFIFO)
		return { kind: "other", words: `the special file ${link}` };
	if (!isStillThere(link, stat)) {
		const { path } = withoutDeleted(link);
		const other = type === S_IFREG ? otherName(path, stat) : undefined;
		if (other !== undefined) return { kind: "file", path: other };
		if (type === S_IFREG) return { kind: "ghost", path };
		return { kind: "other", words: `the deleted ${type === S_IFDIR ? "directory" : "FIFO"} ${path}` };
	}
	return { kind: type === S_IFIFO ? "fifo" : "file", path: link };
}

/** Whether its path still leads to it: not unlinked, not replaced, nothing mounted over it. */
function isStillThere(path: string, { ino, dev }: BigIntStats): boolean {
	try {
		const here = statSync(Buffer.from(bytesFromText(path)), { bigint: true });
		return here.ino === ino && here.dev === dev;
	} catch {
		return false;
	}
}

/** /dev/null, /dev/zero and their kin: what is read and written there is gone at once. */
const MEMORY_DEVICES = 1;

/** Terminals of all kinds, /dev/tty and /dev/ptmx (Documentation/admin-guide/devices.txt). */
const isTerminal = (device: bigint): boolean => {
	const major = majorOf(device);
	return major === 4 || major === 5 || (major >= 136 && major <= 143) || major === 204;
};

/** `00:01`, as /proc/PID/maps has it. */
export const deviceText = (device: bigint): string =>
	[majorOf(device), minorOf(device)].map((part) => part.toString(16).padStart(2, "0")).join(":");

/** Identifies a pipe or FIFO: device and inode, the same for all fds of it. */
export const pipeKey = ({ stat }: Pick<OpenDescriptor, "stat">): string => `${stat.dev} ${stat.ino}`;
