import { defined } from "../../bytes/defined.ts";
import type { Extent } from "../../bytes/extent.ts";
import { buildIdText } from "../../criu/build-id.ts";
import { FdTypes, type FileEntry, type FownEntry, type RegFileEntry } from "../../criu/wire/generated/schema.ts";
import { refuse } from "../../errors.ts";
import type { MappedFile } from "../../forest/file-identity.ts";
import type { Description, OtherDescription, Pipe, SignalOwner } from "../../forest/files.ts";
import { O } from "../../linux/open.ts";
import type { ImageGhosts } from "./ghosts.ts";
import type { ImageObjects } from "./objects.ts";
import type { SideRecord } from "./side-record.ts";

/** What a file entry refers to. */
export interface FileRecords {
	/** What messages call files.img. */
	readonly subject: string;
	readonly entries: ReadonlyMap<number, FileEntry>;
	readonly objects: ImageObjects;
	/** By pipe id. */
	readonly queues: Readonly<
		Record<"pipes-data" | "fifo-data", ReadonlyMap<number, { readonly capacity?: number; readonly content?: Extent }>>
	>;
	readonly ghosts: ImageGhosts;
	readonly beside: SideRecord;
}

/**
 * An open file description from its entry.
 *
 * @throws NecromancerError ERR_IMAGE_CORRUPT when the entry lacks the part of its type, or names what is not there.
 */
export function descriptionFrom(entry: FileEntry, images: FileRecords): Description {
	const { id } = entry;
	const part = <T>(value: T | undefined): T =>
		value ??
		refuse("ERR_IMAGE_CORRUPT", {
			subject: images.subject,
			finding: `file ${id} of type ${entry.type} lacks the part that describes it`,
		});
	switch (entry.type) {
		case FdTypes.REG: {
			const reg = part(entry.reg);
			const link = images.ghosts.link(id);
			const ghost = images.ghosts.ghost(id)?.id;
			return {
				...{ kind: "file", ...common(reg), ...looksOf(reg), position: reg.pos },
				...defined({ path: link }),
				unlinked: link === undefined && images.ghosts.unlinked(id),
				...defined({ ghost }),
			};
		}
		case FdTypes.PIPE: {
			const pipe = part(entry.pipe);
			return { kind: "pipe", ...common(pipe), pipe: pipeOf(pipe.pipe_id, images.queues["pipes-data"]) };
		}
		case FdTypes.FIFO: {
			const fifo = part(entry.fifo);
			const named = images.entries.get(fifo.regf_id ?? 0)?.reg;
			const reg =
				named ??
				refuse("ERR_IMAGE_CORRUPT", {
					subject: images.subject,
					finding: `fifo ${id} names file ${fifo.regf_id ?? 0}`,
					expectation: "which it does not hold",
				});
			const pipe = pipeOf(fifo.pipe_id, images.queues["fifo-data"]);
			const unlinked = images.ghosts.unlinked(reg.id) ? { unlinked: true } : {};
			return { kind: "fifo", ...common({ ...reg, id }), file: looksOf(reg), ...unlinked, pipe };
		}
		case FdTypes.EVENTFD: {
			const efd = part(entry.efd);
			const semaphore = images.beside.isSemaphore(id) ? { semaphore: true } : {};
			return { kind: "eventfd", ...common(efd), counter: efd.counter, ...semaphore };
		}
		case FdTypes.EVENTPOLL: {
			const epfd = part(entry.epfd);
			const targets = epfd.tfd.map(({ tfd, events, data }) => ({ number: tfd, events, data }));
			return { kind: "epoll", ...common(epfd), targets };
		}
		case FdTypes.SIGNALFD: {
			const sgfd = part(entry.sgfd);
			return { kind: "signalfd", ...common(sgfd), mask: sgfd.sigmask };
		}
		case FdTypes.TIMERFD: {
			const tfd = part(entry.tfd);
			return {
				kind: "timerfd",
				...common(tfd),
				clock: tfd.clockid,
				ticks: tfd.ticks,
				settings: tfd.settime_flags,
				remaining: nanoseconds(tfd.vsec, tfd.vnsec),
				interval: nanoseconds(tfd.isec, tfd.insec),
			};
		}
		case FdTypes.MEMFD: {
			const memfd = part(entry.memfd);
			const shown = images.objects.memfd(BigInt(memfd.inode_id), "descriptor");
			if (shown === undefined)
				return refuse("ERR_IMAGE_CORRUPT", {
					subject: images.subject,
					finding: `memfd ${id} names inode ${memfd.inode_id}`,
					expectation: "which memfd.img does not hold",
				});
			const { name, object } = shown;
			return { kind: "memfd", ...common(memfd), name, object, position: memfd.pos };
		}
		default:
			return other(entry, images);
	}
}

const otherKinds: Readonly<Record<number, OtherDescription["kind"]>> = {
	[FdTypes.INETSK]: "inet-socket",
	[FdTypes.UNIXSK]: "unix-socket",
	[FdTypes.PACKETSK]: "packet-socket",
	[FdTypes.NETLINKSK]: "netlink-socket",
	[FdTypes.INOTIFY]: "inotify",
	[FdTypes.FANOTIFY]: "fanotify",
	[FdTypes.TTY]: "tty",
	[FdTypes.NS]: "namespace",
	[FdTypes.TUNF]: "tun",
	[FdTypes.EXT]: "external",
	[FdTypes.BPFMAP]: "bpf-map",
	[FdTypes.PIDFD]: "pidfd",
};

function other(entry: FileEntry, { entries }: FileRecords): OtherDescription {
	const { id } = entry;
	const part: PipeData =
		entry.isk ??
		entry.usk ??
		entry.psk ??
		entry.nlsk ??
		entry.ify ??
		entry.ffy ??
		entry.tty ??
		entry.nsf ??
		entry.ext ??
		entry.bpf ??
		entry.pidfd ??
		{};
	const path = entry.tty === undefined ? undefined : entries.get(entry.tty.regf_id ?? 0)?.reg?.name;
	return {
		kind: otherKinds[entry.type] ?? "unknown",
		...common({ ...part, id }),
		...defined({ path }),
	};
}

/** What most parts of a file_entry have in common. */
interface PipeData {
	readonly flags?: number;
	readonly fown?: FownEntry;
}

function common({ id, flags = 0, fown }: PipeData & { readonly id: number }): {
	readonly id: number;
	readonly flags: number;
	readonly owner?: SignalOwner;
} {
	const owned = fown !== undefined && (fown.pid !== 0 || fown.signum !== 0);
	return {
		id,
		flags: flags & ~O.CLOEXEC,
		...(owned ? { owner: { type: fown.pid_type, pid: fown.pid, signal: fown.signum } } : {}),
	};
}

/** How a file looked that an entry names. */
export const looksOf = ({ name, size, mode, build_id }: RegFileEntry): MappedFile => ({
	path: name,
	...defined({ size, mode }),
	...(build_id.length === 0 ? {} : { buildId: buildIdText(build_id) }),
});

const pipeOf = (id: number, queues: ReadonlyMap<number, Omit<Pipe, "id">>): Pipe => ({ id, ...queues.get(id) });

const nanoseconds = (seconds: bigint, rest: bigint): bigint => seconds * 1_000_000_000n + rest;
