import { defined } from "../bytes/defined.ts";
import type { MappedFile } from "../forest/file-identity.ts";
import type { Description, Pipe, SignalOwner, Timerfd } from "../forest/files.ts";
import { O, O_ACCMODE } from "../linux/open.ts";
import { S_IFMT, S_IFREG } from "../linux/stat.ts";
import { type Fdinfo, nanosecondsIn } from "../proc/fdinfo.ts";
import { pathOfLink } from "../proc/links.ts";
import type { LiveGhosts } from "./ghosts.ts";
import type { LiveObjects } from "./objects.ts";
import { deviceText, kindOf, type OpenDescriptor, pipeKey } from "./open-files.ts";

/** All that is known of an open file. */
export interface Described {
	readonly pid: number;
	readonly id: number;
	readonly open: OpenDescriptor;
	readonly owner?: SignalOwner;
	readonly objects: LiveObjects;
	readonly ghosts: LiveGhosts;
	/** By {@link pipeKey}. */
	readonly pipes: ReadonlyMap<string, Pipe>;
	/** Fds that are not dumped: epoll cannot watch them after the restore. */
	readonly lost: ReadonlySet<number>;
}

/** The description of an open file; `undefined` for what cannot be dumped. */
export function describe({ pid, id, open, owner, objects, ghosts, pipes, lost }: Described): Description | undefined {
	const { number, info, stat } = open;
	const flags = info.flags & ~O.CLOEXEC;
	const common = { id, flags, ...defined({ owner }) };
	const field = (name: string): string => info.field(name) ?? "";
	const kind = kindOf(open);
	switch (kind.kind) {
		case "file":
			if (lost.has(number)) return undefined;
			return { kind: "file", ...common, ...looksOf(kind.path, open), position: info.position, unlinked: false };
		case "ghost": {
			const ghost = ghosts.of(pathOfLink(pid, `fd/${number}`), kind.path, true);
			const looks = { path: kind.path, mode: Number(stat.mode), size: stat.size };
			const position = info.position;
			return ghost === undefined ? undefined : { kind: "file", ...common, ...looks, position, unlinked: true, ghost };
		}
		case "fifo": {
			const pipe = pipes.get(pipeKey(open));
			return pipe === undefined ? undefined : { kind: "fifo", ...common, file: looksOf(kind.path, open), pipe };
		}
		case "pipe": {
			const pipe = pipes.get(pipeKey(open));
			return pipe === undefined ? undefined : { kind: "pipe", ...common, pipe };
		}
		case "eventfd": {
			const semaphore = info.field("eventfd-semaphore");
			return {
				kind: "eventfd",
				...common,
				counter: BigInt(`0x${field("eventfd-count") || "0"}`),
				...(semaphore === undefined ? {} : { semaphore: semaphore === "1" }),
			};
		}
		case "epoll":
			return { kind: "epoll", ...common, targets: info.targets.filter((target) => !lost.has(target.number)) };
		case "signalfd":
			return { kind: "signalfd", ...common, mask: BigInt(`0x${field("sigmask") || "0"}`) };
		case "timerfd":
			return { kind: "timerfd", ...common, ...timeOf(info) };
		case "memfd": {
			const object = objects.ofDescriptor(number, kind.name, deviceText(stat.dev), stat.ino);
			return { kind: "memfd", ...common, name: kind.name, object, position: info.position };
		}
		case "tty":
		case "other":
			return undefined;
	}
}

/**
 * folklore: between `wind` and the reading of fdinfo a periodic timerfd may expire once more, and again shows no time left. One
 * with expirations and an interval is running all the same: disarming resets its expirations (timerfd_settime(2)).
 */
function timeOf({ field }: Fdinfo): Pick<Timerfd, "clock" | "ticks" | "settings" | "remaining" | "interval"> {
	const ticks = BigInt(field("ticks") ?? 0);
	const [left, interval] = [nanosecondsIn(field("it_value")), nanosecondsIn(field("it_interval"))];
	return {
		clock: Number(field("clockid") ?? 0),
		ticks,
		settings: Number.parseInt(field("settime flags") ?? "0", 8),
		remaining: left === 0n && ticks > 0n ? interval : left,
		interval,
	};
}

/** No size for a file opened with O_APPEND: others may have appended to it before the restore. */
function looksOf(path: string, { info, stat }: OpenDescriptor): MappedFile {
	const mode = Number(stat.mode);
	const growing = (info.flags & O_ACCMODE) === O.WRONLY && (info.flags & O.APPEND) !== 0;
	return { path, mode, ...((mode & S_IFMT) === S_IFREG && !growing ? { size: stat.size } : {}) };
}
