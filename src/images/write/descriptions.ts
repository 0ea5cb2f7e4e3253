import { FdTypes, type FileEntry, type FownEntry } from "../../criu/wire/generated/schema.ts";
import { type Finding, loss, note } from "../../finding.ts";
import type { Description } from "../../forest/files.ts";
import { S_IFIFO } from "../../linux/stat.ts";
import { timespecOf } from "../../linux/time.ts";
import { type FilesImage, regularFile } from "./files-image.ts";
import { memfdFile } from "./memfd.ts";

/** What the entry of a description refers to. */
export interface DescriptionContext {
	readonly fileImage: FilesImage;
	/** Descriptors by which an epoll instance can name what it watches. */
	readonly numbers: ReadonlySet<number>;
	readonly owner: FownEntry;
	/** The memfd.img record of a shared object. */
	inode(object: number): bigint;
	/** What messages call it. */
	readonly subject: string;
	readonly report: (finding: Finding) => void;
}

/**
 * The file entry of an open file description, under its own id. Kinds that images cannot hold become an entry that no restorer
 * opens by itself, so that the fd number stays reserved.
 */
export function descriptionEntry(description: Description, context: DescriptionContext): FileEntry {
	const { id, flags } = description;
	const { fileImage, owner: fown, subject, report } = context;
	const substitute = (what: string): FileEntry => {
		report(loss("not-in-images", subject, `${what}: its number is kept, to be given something else`));
		return { type: FdTypes.EXT, id, ext: { id, fown } };
	};
	switch (description.kind) {
		case "file": {
			const { path, unlinked, ghost, mode = 0, position } = description;
			if (ghost !== undefined) fileImage.ghosts.lost(id, ghost);
			else if (unlinked && !fileImage.ghosts.lostNode(id, path, mode)) return substitute(`the deleted file ${path}`);
			return regularFile(id, description, { flags, position, owner: fown });
		}
		case "pipe":
			return { type: FdTypes.PIPE, id, pipe: { id, pipe_id: description.pipe.id, flags, fown } };
		case "fifo": {
			const opening = { flags, position: 0n, owner: fown };
			const { file, unlinked } = description;
			const regf_id = fileImage.add((fresh) => regularFile(fresh, file, opening));
			const permissions = (file.mode ?? OWNERS_ONLY) & PERMISSIONS;
			if (unlinked === true) fileImage.ghosts.lostNode(regf_id, file.path, S_IFIFO | permissions);
			return { type: FdTypes.FIFO, id, fifo: { id, pipe_id: description.pipe.id, regf_id } };
		}
		case "eventfd":
			if (description.semaphore === true)
				report(note("not-in-images", subject, "is a semaphore (EFD_SEMAPHORE); criu restore makes a counter of it"));
			return { type: FdTypes.EVENTFD, id, efd: { id, flags, fown, counter: description.counter } };
		case "epoll": {
			const lost = description.targets.filter(({ number }) => !context.numbers.has(number));
			for (const { number } of lost)
				report(loss("not-in-images", subject, `watched ${number}, which is closed now and open elsewhere`));
			const tfd = description.targets
				.filter((target) => !lost.includes(target))
				.map(({ number, events, data }) => ({ id: 0, tfd: number, events, data }));
			return { type: FdTypes.EVENTPOLL, id, epfd: { id, flags, fown, tfd } };
		}
		case "signalfd":
			return { type: FdTypes.SIGNALFD, id, sgfd: { id, flags, fown, sigmask: description.mask } };
		case "timerfd": {
			const value = timespecOf(description.remaining);
			const interval = timespecOf(description.interval);
			return {
				type: FdTypes.TIMERFD,
				id,
				tfd: {
					id,
					flags,
					fown,
					clockid: description.clock,
					ticks: description.ticks,
					settime_flags: description.settings,
					...{ vsec: value.tv_sec, vnsec: value.tv_nsec },
					...{ isec: interval.tv_sec, insec: interval.tv_nsec },
				},
			};
		}
		case "memfd":
			return memfdFile(id, context.inode(description.object), { flags, position: description.position, owner: fown });
		case "socket-pair":
			return substitute("one of a pair of unix sockets");
		default:
			return substitute(`${description.kind}${description.path === undefined ? "" : ` ${description.path}`}`);
	}
}

const OWNERS_ONLY = 0o600;
const PERMISSIONS = 0o7777;
