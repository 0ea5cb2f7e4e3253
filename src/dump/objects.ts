import type { Agent } from "../agent/agent.ts";
import { type FileOffset, fileOffset, PAGE_SIZE } from "../bytes/address.ts";
import { defined } from "../bytes/defined.ts";
import { extent, type Placed, place } from "../bytes/extent.ts";
import { lengthOf } from "../bytes/range.ts";
import type { ByteSource } from "../bytes/source.ts";
import { memfdName } from "../descriptors/memfd.ts";
import type { SharedObject } from "../forest/task.ts";
import { F } from "../linux/fcntl.ts";
import { F_SEAL, MAP_HUGE_MASK, MAP_HUGE_SHIFT, MFD } from "../linux/mman.ts";
import { mapLink, pathOfLink } from "../proc/links.ts";
import type { SmapsEntry } from "../proc/smaps.ts";
import { modeAndOwner } from "./looks.ts";
import { contentsOfFile, heldFile, openProcFile, type ProcFile } from "./proc-file.ts";

/** Shared memory of processes, each object once: mappings and fds of one inode share it. */
export interface LiveObjects {
	/** As one process shows them. */
	readonly of: (pid: number, memory: ByteSource) => ObjectsOfProcess;
	/** All that were asked for, with references to their bytes unless `pages` is false. */
	readonly collect: (agent: Agent, pages: boolean) => Promise<readonly SharedObject[]>;
	/** Closes the files that contents refer to. */
	readonly close: () => void;
}

export interface ObjectsOfProcess {
	/** The id of the object that a mapping shows. */
	readonly ofMapping: (entry: SmapsEntry) => number;
	/** The id of a memfd that is open as descriptor `number`. */
	readonly ofDescriptor: (number: number, name: string, device: string, inode: bigint) => number;
}

interface Found {
	readonly id: number;
	/** memfd name. */
	name?: string;
	/** A link in /proc to open it by: of an fd for whoever may trace, of map_files with privileges. */
	path: string;
	readonly entries: ShowingMapping[];
}

/** A mapping, and the memory that it is part of. */
interface ShowingMapping {
	readonly entry: SmapsEntry;
	readonly memory: ByteSource;
}

export function objectTable(): LiveObjects {
	const objects = new Map<string, Found>();
	const opened: ProcFile[] = [];
	const find = (device: string, inode: bigint, path: string): Found => {
		const key = `${device} ${inode}`;
		const known = objects.get(key) ?? { id: objects.size + 1, path, entries: [] };
		objects.set(key, known);
		return known;
	};
	return {
		of: (pid, memory) => ({
			ofMapping: (entry) => {
				const { device, inode, name } = entry;
				const object = find(device, inode, pathOfLink(pid, mapLink(entry)));
				object.entries.push({ entry, memory });
				const memfd = memfdName(name);
				if (memfd !== undefined) object.name = memfd;
				return object.id;
			},
			ofDescriptor: (number, name, device, inode) => {
				const path = pathOfLink(pid, `fd/${number}`);
				const object = find(device, inode, path);
				object.path = path;
				object.name = name;
				return object.id;
			},
		}),
		collect: async (agent, pages) => {
			const found: SharedObject[] = [];
			for (const object of objects.values()) {
				const { id, name, path } = object;
				const file = openProcFile(path);
				if (file === undefined) {
					found.push(throughMappings(object, pages));
					continue;
				}
				opened.push(file);
				const { size } = file.stat;
				const looks =
					name === undefined
						? {}
						: {
								...{ name, ...modeAndOwner(file.stat) },
								...(await sealsOf(agent, heldFile(file.source), object)),
							};
				const contents = pages ? await contentsOfFile(agent, file, PAGE_SIZE) : [];
				found.push({ id, size, contents, ...looks });
			}
			return found;
		},
		close: () => {
			for (const { source } of opened.splice(0)) source.close();
		},
	};
}

async function sealsOf(
	agent: Agent,
	path: string,
	{ entries }: Found,
): Promise<{ readonly seals: number; readonly memfdFlags: number }> {
	const fd = await agent.call("open", Buffer.from(`${path}\0`), 0);
	const told = await agent.call("fcntl", fd, F.GET_SEALS, 0);
	await agent.call("close", fd);
	const seals = told < 0n ? F_SEAL.SEAL : Number(told);
	const huge = entries.some(({ entry: { flags } }) => flags.has("ht"))
		? MFD.HUGETLB | ((Math.log2(entries[0]?.entry.pageSize ?? 0) & MAP_HUGE_MASK) << MAP_HUGE_SHIFT)
		: 0;
	// a memfd made without MFD_ALLOW_SEALING has exactly F_SEAL_SEAL
	return { seals, memfdFlags: huge | (seals === F_SEAL.SEAL ? 0 : MFD.ALLOW_SEALING) };
}

/**
 * When its file may not be opened, an object is taken as large as its mappings, and read through them: holes become pages of
 * zeros.
 */
function throughMappings({ id, name, entries }: Found, pages: boolean): SharedObject {
	const contents: Placed<FileOffset>[] = [];
	let size = 0n;
	const ascending = [...entries].sort((a, b) => (a.entry.offset < b.entry.offset ? -1 : 1));
	for (const { entry, memory } of ascending) {
		const { start, end, offset } = entry;
		const last = offset + lengthOf({ start, end });
		if (last <= size) continue;
		const from = offset > size ? BigInt(offset) : size;
		size = last;
		if (!pages) continue;
		contents.push(place(fileOffset(from), extent(memory, start + (from - offset), last - from)));
	}
	return { id, size, contents, ...defined({ name }) };
}
