import { pagesUp } from "../bytes/address.ts";
import type { IpcNamespace } from "./ipc.ts";
import type { Mapping, SharedObject, Task } from "./task.ts";

/** Ids of objects that were segments, apart from those of all others. */
const APART = 0x1_0000_0000;

/** What segments become, by their namespace: the same for all of its processes. */
const known = new WeakMap<IpcNamespace, ReadonlyMap<number, SharedObject>>();

/** A process without its IPC namespace: what it shows of System V's segments is shared memory without an id, with the same bytes. */
export function withoutIpc({ ipc, ...task }: Task): Task {
	if (ipc === undefined) return task;
	const objects = known.get(ipc) ?? new Map(ipc.segments.map((segment) => [segment.id, objectFrom(segment)]));
	known.set(ipc, objects);
	const shown = new Set<SharedObject>();
	const mappings = task.memory.mappings.map((mapping): Mapping => {
		const { backing } = mapping;
		const object = backing.kind === "sysv" ? objects.get(Number(backing.id)) : undefined;
		if (backing.kind !== "sysv" || object === undefined) return mapping;
		shown.add(object);
		return { ...mapping, backing: { kind: "object", object: object.id, offset: backing.offset } };
	});
	return { ...task, memory: { ...task.memory, mappings, objects: [...task.memory.objects, ...shown] } };
}

function objectFrom({ id, size, contents }: IpcNamespace["segments"][number]): SharedObject {
	return { id: APART + id, size: pagesUp(size), contents };
}
