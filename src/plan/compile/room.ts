import type { IpcNamespace } from "../../forest/ipc.ts";
import type { Task } from "../../forest/task.ts";

/** How many of what a plan is about. */
export interface PlanCounts {
	readonly threads: number;
	readonly mappings: number;
	readonly contents: number;
	readonly objects: number;
	readonly ghosts: number;
	readonly descriptors: number;
	readonly ipc?: IpcNamespace | undefined;
}

const MIB = 1n << 20n;

/**
 * Bytes for blob and plan. Generous: steps, structures, path names, a stack and a frame for each thread. The encoder checks.
 */
export const roomFor = (counts: PlanCounts): bigint =>
	4n * MIB +
	BigInt(counts.threads) * (MIB / 8n) +
	BigInt(counts.mappings) * 4096n +
	BigInt(counts.contents) * 512n +
	BigInt(counts.objects) * 4096n +
	BigInt(counts.ghosts) * 16384n +
	BigInt(counts.descriptors) * 8192n +
	roomForIpc(counts.ipc);

export const countsOf = ({ threads, memory, files, ipc }: Task): PlanCounts => ({
	ipc,
	threads: threads.length,
	mappings: memory.mappings.length,
	contents: contentsOf(memory),
	objects: memory.objects.length,
	ghosts: memory.ghosts?.length ?? 0,
	descriptors: files.descriptors.length,
});

const contentsOf = ({ contents, objects, ghosts = [] }: Task["memory"]): number =>
	[...objects, ...ghosts].reduce((sum, it) => sum + it.contents.length, contents.length);

/** Messages and values are there as they are. */
function roomForIpc(ipc: IpcNamespace | undefined): bigint {
	const { segments = [], semaphores = [], queues = [] } = ipc ?? {};
	const texts = queues.flatMap(({ messages }) => messages.map(({ text }) => text.length));
	const values = semaphores.reduce((sum, { values }) => sum + values.length, 0);
	const objects = segments.length + semaphores.length + queues.length + texts.length;
	return texts.reduce((sum, length) => sum + length, BigInt(objects) * 4096n + BigInt(values) * 2n);
}
