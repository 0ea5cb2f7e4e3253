import type { Files } from "./files.ts";
import { type FileLock, isSameLock } from "./locks.ts";

/**
 * The same processes, each lock with the first that has what it belongs to, an open file description or a descriptor table, and once:
 * whoever shares that shows the lock too.
 */
export function withLocksOnce<T extends { readonly files: Files }>(processes: readonly T[]): readonly T[] {
	if (processes.every(({ files: { locks = [] } }) => locks.length === 0)) return processes;
	const homes = new Map<number, { readonly process: T; readonly descriptor: number }>();
	for (const process of processes)
		for (const { number, description } of process.files.descriptors)
			if (!homes.has(description.id)) homes.set(description.id, { process, descriptor: number });
	const tables = new Map<number, T>();
	for (const process of processes) {
		const { table } = process.files;
		if (table !== undefined && !tables.has(table)) tables.set(table, process);
	}
	const held = new Map<T, FileLock[]>(processes.map((process) => [process, []]));
	for (const process of processes) {
		const { table } = process.files;
		const ids = new Map(process.files.descriptors.map(({ number, description }) => [number, description.id]));
		for (const lock of process.files.locks ?? []) {
			const id = ids.get(lock.descriptor);
			const home = lock.kind === "posix" || id === undefined ? undefined : homes.get(id);
			const owner = (table === undefined ? undefined : tables.get(table)) ?? process;
			const [of, descriptor] = [home?.process ?? owner, home?.descriptor ?? lock.descriptor];
			const known = held.get(of) ?? [];
			if (!known.some((it) => it.descriptor === descriptor && isSameLock(it, lock)))
				known.push({ ...lock, descriptor });
		}
	}
	return processes.map((process) => {
		const locks = held.get(process) ?? [];
		const { locks: before, ...files } = process.files;
		return before === undefined && locks.length === 0
			? process
			: { ...process, files: locks.length === 0 ? files : { ...files, locks } };
	});
}
