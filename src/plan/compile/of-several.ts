import { defined } from "../../bytes/defined.ts";
import { type Description, kindOf } from "../../descriptors/kinds.ts";
import { isOutside } from "../../descriptors/terminal.ts";
import { refuse } from "../../errors.ts";
import type { Descriptor } from "../../forest/files.ts";
import { type Forest, type Held, isShared } from "../../forest/forest.ts";
import type { Mapping, SharedObject, Task } from "../../forest/task.ts";
import { O, O_ACCMODE } from "../../linux/open.ts";
import { ownName } from "../../proc/own-paths.ts";
import { type FilePolicy, isOwn, slotsOf } from "../files/slots.ts";
import type { Member } from "../memory/memfds.ts";
import { needsDescriptor } from "../memory/objects.ts";
import type { Control, SessionFile } from "../process/terminals.ts";

/** An open description that several processes have, and the one that sees to it: the first. */
export interface CommonDescription {
	/** Of its slots. */
	readonly key: string;
	readonly description: Description;
	readonly first: { readonly pid: number; readonly number: number };
}

/** Shared memory of several processes. */
export interface CommonMemory {
	readonly object: SharedObject;
	/** Wherever it is mapped. */
	readonly mappings: readonly Mapping[];
	/** Who shows it; the first fills it. */
	readonly pids: readonly number[];
	/** It is a memfd: descriptors show it, or its mappings ask for one. */
	readonly memfd: boolean;
	/** The slot whose description is that which memfd_create(2) makes, and the process that opens it; none for the first of all. */
	readonly original?: { readonly key: string; readonly pid?: number };
}

/**
 * What several descriptor tables have open. Not pipes and files without a name, which the workshop makes for all; an end of a pair of
 * sockets brings the other along.
 *
 * @throws NecromancerError ERR_UNSUPPORTED for what a process finds about itself in /proc and others have.
 */
export function commonDescriptions({ processes, shared }: Forest, policy: FilePolicy): readonly CommonDescription[] {
	const tables = new Map(processes.map(({ identity: { pid }, files }) => [pid, files.table ?? `of ${pid}`]));
	const inSeveral = (held: Held<unknown> | undefined): boolean =>
		new Set(held?.by.map((pid) => tables.get(pid))).size > 1;
	const apart = (description: Description): boolean => {
		const common = kindOf(description).shares?.(description);
		const pair = common?.of === "pairs" ? shared.pairs.get(common.id) : undefined;
		return inSeveral(shared.descriptions.get(description.id)) || inSeveral(pair);
	};
	const found = new Map<string, CommonDescription>();
	for (const { identity, files } of processes) {
		const { pid } = identity;
		const known = new Map(files.descriptors.map(({ number, description }) => [number, description]));
		for (const slot of slotsOf(files, policy, () => {})) {
			const { number, key } = slot;
			const description = known.get(number);
			if (found.has(key) || description === undefined || !apart(description)) continue;
			if (isOwn(slot)) {
				const { making } = kindOf(slot.content);
				if (making.workshop?.waits?.(slot) !== undefined || making.unlinked?.(slot) !== undefined) continue;
				const own = making.files?.(slot.content).find(({ looks }) => ownName(looks.path, pid) !== undefined);
				const about = own?.looks.path ?? (description.kind === "file" && description.about && description.path);
				if (about) refuseCommon(`descriptor ${number}`, about, shared.descriptions.get(description.id));
			}
			found.set(key, { key, description, first: { pid, number } });
		}
	}
	return [...found.values()];
}

/**
 * Files of /proc tell of a process under its id: that has to be there.
 *
 * @throws NecromancerError ERR_UNSUPPORTED where it is not among the processes.
 */
export function requireThoseToldOf({ processes }: Forest, policy: FilePolicy): void {
	const together = new Set(processes.map(({ identity: { pid } }) => pid));
	for (const { files } of processes)
		for (const slot of slotsOf(files, policy, () => {})) {
			const { number, content } = slot;
			if (content.kind !== "file" || content.about === undefined || together.has(content.about)) continue;
			refuse("ERR_UNSUPPORTED", {
				subject: `descriptor ${number}`,
				finding: `is a file about process ${content.about} (${content.path})`,
				expectation: "which does not come back with it",
				remedy: `name another file with --fd ${number}=PATH`,
			});
		}
}

/**
 * What memory several processes show.
 *
 * @param common What several descriptor tables have open.
 */
export function commonMemory(
	{ processes, shared }: Forest,
	common: readonly CommonDescription[],
): readonly CommonMemory[] {
	const found: CommonMemory[] = [];
	for (const held of shared.objects.values()) {
		if (!isShared(held)) continue;
		const { thing: object, by } = held;
		const showing = processes.filter(({ identity }) => by.includes(identity.pid));
		const members = showing.flatMap(({ memory }) => membersOf(memory, object));
		const open = showing.some(({ files }) => files.descriptors.some((it) => isOf(it, object)));
		const memfd = open || needsDescriptor(object, members);
		const mappings = members.map(({ mapping }) => mapping);
		found.push({ object, mappings, pids: by, memfd, ...defined({ original: originalOf(object, showing, common) }) });
	}
	return found;
}

/** Another description that may write keeps a memfd from being executed: the one that is there must be one of the processes'. */
function originalOf(
	object: SharedObject,
	showing: readonly Task[],
	common: readonly CommonDescription[],
): CommonMemory["original"] {
	const keys = new Set(common.map(({ key }) => key));
	const may = showing.flatMap(({ identity: { pid }, files }) =>
		files.descriptors.flatMap((it) => {
			const { id, flags } = it.description;
			return isOf(it, object) && (flags & (O_ACCMODE | O.PATH)) === O.RDWR ? [{ key: `${id}`, pid }] : [];
		}),
	);
	const forAll = may.find(({ key }) => keys.has(key));
	return forAll === undefined ? may[0] : { key: forAll.key };
}

const membersOf = (memory: Task["memory"], { id }: SharedObject): Member[] =>
	memory.mappings.flatMap((mapping) => {
		const { backing } = mapping;
		return backing.kind === "object" && backing.object === id ? [{ mapping, offset: backing.offset }] : [];
	});

function isOf({ description }: Descriptor, { id }: SharedObject): boolean {
	const common = kindOf(description).shares?.(description);
	return common?.of === "objects" && common.id === id;
}

const refuseCommon = (subject: string, what: string, held: Held<unknown> | undefined): never =>
	refuse("ERR_UNSUPPORTED", {
		subject,
		finding: `is ${what}, of processes ${held?.by.join(", ") ?? ""}`,
		expectation: "which this version restores in one process only",
	});

/** /dev/tty can be opened by who is in its session alone: the leader does, before it has children. */
export const isOfSession = (description: Description): boolean =>
	description.kind === "tty" && description.place === "current" && !isOutside(description.terminal);

/**
 * The files that leaders of sessions open for all that have them: paths, O_ flags, and the numbers that they wait under.
 *
 * @throws NecromancerError ERR_UNSUPPORTED where somebody in another session has one.
 */
export function sessionFiles(
	descriptions: readonly CommonDescription[],
	firstCommon: number,
	controls: ReadonlyMap<number, Control>,
	sessionOf: (pid: number) => number,
	{ shared }: Forest,
): ReadonlyMap<number, readonly SessionFile[]> {
	const found = new Map<number, SessionFile[]>();
	for (const [i, { description, first }] of descriptions.entries()) {
		if (description.kind !== "tty" || !isOfSession(description)) continue;
		const held = shared.descriptions.get(description.id);
		const leader = [...controls.values()].find(({ terminal }) => terminal.id === description.terminal.id)?.leader;
		if (leader === undefined || held?.by.some((pid) => sessionOf(pid) !== leader) !== false)
			return refuseCommon(`descriptor ${first.number}`, `${description.path} of a session that not all are in`, held);
		const { path, flags } = description;
		found.set(leader, [...(found.get(leader) ?? []), { path, flags, number: firstCommon + i }]);
	}
	return found;
}
