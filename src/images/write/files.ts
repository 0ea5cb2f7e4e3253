import { defined } from "../../bytes/defined.ts";
import type { ImageRecord } from "../../criu/image.ts";
import type { FdinfoEntry, FsEntry, PipeDataEntry } from "../../criu/wire/generated/schema.ts";
import { caution, type Finding } from "../../finding.ts";
import type { Descriptor, Files, Pipe } from "../../forest/files.ts";
import type { Task } from "../../forest/task.ts";
import { descriptionEntry } from "./descriptions.ts";
import { type FilesImage, fownEntry, regularFile } from "./files-image.ts";

const FD_CLOEXEC = 1;

/** Images of fds and pipes; the entries of descriptions go into files.img, each once, whoever has it. */
export interface FileImages {
	/** Of one process: its descriptor table and its directories. */
	process(
		task: Pick<Task, "files" | "threads">,
		report: (finding: Finding) => void,
	): { readonly descriptors: readonly FdinfoEntry[]; readonly fs: FsEntry };
	/** Of the pipes and FIFOs that were met. */
	queues(): {
		readonly pipes: readonly ImageRecord<PipeDataEntry>[];
		readonly fifos: readonly ImageRecord<PipeDataEntry>[];
	};
}

/** @param inode the memfd.img record of a shared object. */
export function fileImages(fileImage: FilesImage, inode: (object: number) => bigint): FileImages {
	const types = new Map<number, number>();
	const pipes = new Map<number, Pipe>();
	const fifos = new Map<number, Pipe>();
	return {
		process: ({ files, threads }, report) => {
			const credentials = threads[0]?.credentials ?? { uid: 0, euid: 0 };
			const numbers = new Set(files.descriptors.map(({ number }) => number));
			const descriptors = files.descriptors.map((descriptor): FdinfoEntry => {
				const { number, description } = descriptor;
				const { id, kind } = description;
				if (!types.has(id)) {
					const owner = fownEntry(description.owner, credentials);
					const entry = descriptionEntry(description, {
						...{ fileImage, numbers, owner, inode, report },
						subject: `descriptor ${number}`,
					});
					fileImage.add(() => entry, id);
					types.set(id, entry.type);
				}
				if (kind === "pipe") pipes.set(description.pipe.id, description.pipe);
				if (kind === "fifo") fifos.set(description.pipe.id, description.pipe);
				return fdinfoEntry(descriptor, types.get(id) ?? 0);
			});
			return { descriptors, fs: directories(files, fileImage, report) };
		},
		queues: () => ({
			pipes: [...pipes.values()].flatMap(queueOf),
			fifos: [...fifos.values()].flatMap(queueOf),
		}),
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

function directories({ cwd, root, umask }: Files, fileImage: FilesImage, report: (finding: Finding) => void): FsEntry {
	if (cwd === undefined) report(caution("not-in-images", "working directory", "is not known; it will be /"));
	const directory = (path: string): number => fileImage.add((id) => regularFile(id, { path }));
	return {
		cwd_id: directory(cwd ?? "/"),
		root_id: directory(root ?? "/"),
		...defined({ umask }),
	};
}
