import { defined } from "../../bytes/defined.ts";
import type { FileWriters } from "../../bytes/source.ts";
import { bytesFromText } from "../../bytes/text.ts";
import type {
	NecromancerAttribute,
	NecromancerEntry,
	NecromancerFileEntry,
	NecromancerMappingEntry,
	NecromancerPathEntry,
	NecromancerProcessEntry,
	NecromancerThreadEntry,
} from "../../criu/wire/generated/schema.ts";
import { kindOf } from "../../descriptors/kinds.ts";
import {
	type Attributes,
	entriesOf,
	mappingAttributes,
	processAttributes,
	threadAttributes,
} from "../../forest/attributes.ts";
import type { Files } from "../../forest/files.ts";
import type { Task } from "../../forest/task.ts";
import { personalityOf } from "./task-core.ts";

/** The name of our own image. */
export const SIDE_RECORD = "necromancer.img";

/** The contents of necromancer.img: what CRIU's images have no field for; `undefined` for nothing. */
export function sideRecord(tasks: readonly Task[]): NecromancerEntry | undefined {
	const processes = tasks.map(processEntry).filter(isTelling);
	const files = fileEntries(tasks.flatMap((task) => task.files.descriptors));
	const paths = pathEntries(new Map(tasks.flatMap((task) => [...(task.files.identities ?? [])])));
	return processes.length + files.length + paths.length === 0 ? undefined : { processes, files, paths, writers: [] };
}

export interface SideRecordPatch {
	/** Those that replace processes of the donor, and their ids. */
	readonly dead: readonly { readonly donorPid: number; readonly task: Task }[];
	/** They have their donors' credentials; otherwise the donor's file identities are not taken over. */
	readonly sameUser: boolean;
	/** The users who determine the contents; absent for the donor's. */
	readonly writers?: readonly FileWriters[];
}

/**
 * The record with some processes replaced; those of other processes stay. File ids are the same before and after.
 *
 * @param donor `undefined` where it has none.
 */
export function patchedSideRecord(
	donor: NecromancerEntry | undefined,
	{ dead, sameUser, writers }: SideRecordPatch,
): NecromancerEntry {
	const { processes, files, paths, writers: said } = donor ?? { processes: [], files: [], paths: [], writers: [] };
	const replaced = new Set(dead.map(({ donorPid }) => donorPid));
	const others = processes.filter(({ pid }) => !replaced.has(pid));
	return {
		...donor,
		processes: [...others, ...dead.map(({ task }) => processEntry(task))],
		files,
		paths: sameUser ? paths : [],
		writers: writers?.map(({ uid, group, anybody }) => ({ uid, anybody, ...defined({ group }) })) ?? said,
	};
}

function processEntry(task: Task): NecromancerProcessEntry {
	const usual = personalityOf(task);
	const threads = task.threads.map(({ tid, attributes = {} }): NecromancerThreadEntry => {
		const { personality = 0n, ...others } = attributes;
		const own = personality === usual ? others : { ...others, personality };
		return { tid, attributes: listOf(threadAttributes, own) };
	});
	// CRIU's images have a place for it
	const { membarrier: _known, ...own } = task.attributes ?? {};
	return {
		pid: task.identity.pid,
		attributes: listOf(processAttributes, own),
		threads: threads.filter(({ attributes }) => attributes.length > 0),
		mappings: task.memory.mappings.flatMap(({ start, end, attributes }): NecromancerMappingEntry[] =>
			attributes === undefined ? [] : [{ start, end, attributes: listOf(mappingAttributes, attributes) }],
		),
		losses: task.losses ?? [],
	};
}

const isTelling = ({ attributes, threads, mappings, losses }: NecromancerProcessEntry): boolean =>
	attributes.length + threads.length + mappings.length + losses.length > 0;

const listOf = <Name extends string>(
	names: Readonly<Record<Name, string>>,
	attributes: Attributes<Name>,
): NecromancerAttribute[] => entriesOf(names, attributes).map(([name, value]) => ({ name, value: bytesOf(value) }));

/** Little-endian, without zeros at its end. */
function bytesOf(value: bigint): Uint8Array {
	const bytes: number[] = [];
	for (let left = value; left > 0n; left >>= 8n) bytes.push(Number(left & 0xffn));
	return Uint8Array.from(bytes);
}

const pathEntries = (identities: NonNullable<Files["identities"]>): NecromancerPathEntry[] =>
	[...identities].map(([path, identity]) => ({ path: bytesFromText(path), ...identity }));

function fileEntries(descriptors: Files["descriptors"]): NecromancerFileEntry[] {
	const entries = new Map<number, NecromancerFileEntry>();
	for (const { description } of descriptors) {
		const beside = kindOf(description).images.beside?.(description);
		if (beside !== undefined) entries.set(description.id, { id: description.id, watches: [], senders: [], ...beside });
	}
	return [...entries.values()];
}
