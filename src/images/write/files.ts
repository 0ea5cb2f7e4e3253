import { defined } from "../../bytes/defined.ts";
import type { ImageRecord } from "../../criu/image.ts";
import type {
	FdinfoEntry,
	FsEntry,
	PipeDataEntry,
	SkPacketEntry,
	TtyDataEntry,
	TtyInfoEntry,
} from "../../criu/wire/generated/schema.ts";
import { fownEntry } from "../../descriptors/entries.ts";
import { regularFile } from "../../descriptors/file.ts";
import { kindOf, pipeOf } from "../../descriptors/kinds.ts";
import { type Pipe, type QueueImage, queueImages } from "../../descriptors/pipe-queue.ts";
import { terminalRecords } from "../../descriptors/tty-images.ts";
import type { UnixMessage } from "../../descriptors/unix-description.ts";
import { caution, type Finding } from "../../finding.ts";
import type { Descriptor, Files } from "../../forest/files.ts";
import type { Task } from "../../forest/task.ts";
import { SCM_RIGHTS } from "../../linux/msghdr.ts";
import type { FilesImage } from "./files-image.ts";
import { NAMESPACES } from "./inventory.ts";

const FD_CLOEXEC = 1;

/** Images of fds and pipes; the entries of descriptions go into files.img, each once, whoever has it. */
export interface FileImages {
	/** Of one process: its descriptor table and its directories. */
	process(
		task: Pick<Task, "files" | "threads">,
		report: (finding: Finding) => void,
	): { readonly descriptors: readonly FdinfoEntry[]; readonly fs: FsEntry };
	/** Of the terminals that were met. */
	terminals(): { readonly infos: readonly TtyInfoEntry[]; readonly data: readonly TtyDataEntry[] };
	/** Of what waits in sockets. */
	packets(): readonly ImageRecord<SkPacketEntry>[];
	/** Of the pipes and FIFOs that were met. */
	queues(): readonly { readonly image: QueueImage; readonly records: readonly ImageRecord<PipeDataEntry>[] }[];
}

/** @param inode the memfd.img record of a shared object. */
export function fileImages(fileImage: FilesImage, inode: (object: number) => bigint): FileImages {
	const types = new Map<number, number>();
	const queues = { "pipes-data": new Map<number, Pipe>(), "fifo-data": new Map<number, Pipe>() };
	const { add, ghosts } = fileImage;
	const terminals = terminalRecords();
	const packets: ImageRecord<SkPacketEntry>[] = [];
	return {
		terminals: () => terminals,
		process: ({ files, threads }, report) => {
			const credentials = threads[0]?.credentials ?? { uid: 0, euid: 0 };
			const numbers = new Set(files.descriptors.map(({ number }) => number));
			const descriptors = files.descriptors.map((descriptor): FdinfoEntry => {
				const { number, description } = descriptor;
				const { id } = description;
				const { images } = kindOf(description);
				if (!types.has(id)) {
					const entry = images.to(description, {
						...{ add, numbers, inode, report, lost: ghosts.lost, lostNode: ghosts.lostNode },
						terminal: terminals.add,
						namespace: (name) => NAMESPACES[`${name}_ns_id`],
						owner: fownEntry(description.owner, credentials),
						packet: (message) => packets.push(packetOf(id, message)),
						subject: `descriptor ${number}`,
					});
					add(() => entry, id);
					types.set(id, entry.type);
				}
				const pipe = pipeOf(description);
				if (images.queue !== undefined && pipe !== undefined) queues[images.queue].set(pipe.id, pipe);
				return fdinfoEntry(descriptor, types.get(id) ?? 0);
			});
			return { descriptors, fs: directories(files, fileImage, report) };
		},
		packets: () => packets,
		queues: () => queueImages.map((image) => ({ image, records: [...queues[image].values()].flatMap(queueOf) })),
	};
}

/** A row of a descriptor table. @param type of its file entry */
export const fdinfoEntry = (
	{ number, closeOnExec, description }: Descriptor,
	type: number,
): Pick<FdinfoEntry, "id" | "flags" | "type" | "fd"> => ({
	id: description.id,
	flags: closeOnExec ? FD_CLOEXEC : 0,
	type,
	fd: number,
});

/** What waits in a pipe; nothing is said of one of which nothing is known. */
const queueOf = ({ id, capacity, content }: Pipe): ImageRecord<PipeDataEntry>[] =>
	capacity === undefined && content === undefined
		? []
		: [
				{
					value: {
						pipe_id: id,
						bytes: Number(content?.length ?? 0n),
						...defined({ size: capacity }),
					},
					...defined({ extra: content }),
				},
			];

const packetOf = (id_for: number, { content, rights = [] }: UnixMessage): ImageRecord<SkPacketEntry> => ({
	value: {
		...{ id_for, length: Number(content.length) },
		scm: rights.length === 0 ? [] : [{ type: SCM_RIGHTS, rights }],
	},
	extra: content,
});

function directories(
	{ cwd, root, cwdGhost, rootGhost, umask }: Files,
	fileImage: FilesImage,
	report: (finding: Finding) => void,
): FsEntry {
	if (cwd === undefined) report(caution("not-in-images", "working directory", "is not known; it will be /"));
	const directory = (path: string, ghost: number | undefined): number => {
		const entry = fileImage.add((id) => regularFile(id, { path }));
		if (ghost !== undefined) fileImage.ghosts.lost(entry, ghost);
		return entry;
	};
	return {
		cwd_id: directory(cwd ?? "/", cwdGhost),
		root_id: directory(root ?? "/", rootGhost),
		...defined({ umask }),
	};
}
